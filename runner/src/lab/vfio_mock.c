// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * A VFIO device that is made of nothing but memory, for the lab's own kernels: /sys/devices/vfio_mock.
 *
 * It does what the drivers of mediated devices and of devices that migrate do, and what no driver for an emulated PCI device does. It pins
 * memory (vfio_pin_pages), reads and writes it (vfio_dma_rw), is told of unmaps (dma_unmap), logs what it writes (vfio_log_ops), and
 * migrates (vfio_migration_ops). What is tested is the kernel's side of these. A program drives it through the registers below, each of
 * eight bytes at its offset in the device's file.
 */
#include <linux/anon_inodes.h>
#include <linux/device.h>
#include <linux/dma-buf.h>
#include <linux/dma-resv.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/highmem.h>
#include <linux/interval_tree.h>
#include <linux/iommu.h>
#include <linux/iova_bitmap.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/slab.h>
#include <linux/vfio.h>
#include <linux/vfio_pci_core.h>
#include <linux/xarray.h>

#include "vfio.h"

enum {
	MOCK_IOVA = 0x00,	/* where the next ones act; bytes */
	MOCK_SIZE = 0x08,	/* on how much: pages to pin or unpin, bytes to store or load */
	MOCK_PIN = 0x10,	/* written: pins with IOMMU_READ (1) and IOMMU_WRITE (2); read: how many pages are pinned */
	MOCK_UNPIN = 0x18,	/* written: unpins all that was pinned in one go, if a part of it is here */
	MOCK_STORE = 0x20,	/* written: sets each byte to the lowest byte of the value, by vfio_dma_rw */
	MOCK_LOAD = 0x28,	/* read: the sum of all bytes, by vfio_dma_rw */
	MOCK_POKE = 0x30,	/* written, read: the first eight bytes of the pinned page there, as a device's own DMA */
	MOCK_UNMAPS = 0x38,	/* read: how often it was told of an unmap */
	MOCK_RANGES = 0x40,	/* written: how many ranges it can log; more are combined */
	MOCK_STATE = 0x48,	/* written, read: what a migration carries */
	MOCK_IMPORT = 0x50,	/* written: attaches itself to this dma-buf, a file descriptor, and maps it */
	MOCK_USER = 0x58,	/* written: does with this VFIO file, a file descriptor, what KVM does; read: what it learned, MOCK_IS_... */
	MOCK_TWIN = 0x60,	/* written: another device of this kind comes and goes */
	MOCK_DRIVER = 0x68,	/* written: an IOMMU driver for containers comes, comes once more, and goes */
	MOCK_REGION = 0x70,	/* written: gives this device of vfio-pci, a file descriptor, a further region, as that of integrated graphics */
	MOCK_ERROR = 0x78,	/* written: tells this device of vfio-pci, a file descriptor, of an error of PCI Express; read: enum pci_ers_result */
	MOCK_OVERLAP = 0x80,	/* written: start and length of a program's bytes and of a register, 16 bits each; read: MOCK_OVERLAPS() */
};

#define MOCK_IS_COHERENT	BIT(0)	/* the IOMMU snoops the processor's caches, whatever a device asks for */
#define MOCK_IS_OF_GROUP	BIT(1)	/* it is the file of a group */
#define MOCK_IS_OWN	BIT(2)	/* it is that of this device's group */

/* Whether a part of the register is among the bytes: where in them, how much, and where in the register; or 0. */
#define MOCK_OVERLAPS(at, count, from)	(1 | (u64)(at) << 16 | (u64)(count) << 32 | (u64)(from) << 48)

#define MOCK_MOST_BYTES	SZ_64K
#define MOCK_MOST_RANGES 4

struct mock_pin {
	struct list_head pins;
	u64 first;		/* IOVA */
	int count;
	bool writable;
	struct page *pages[];
};

struct mock {
	struct vfio_device vdev;
	struct mutex lock;	/* of all below */
	struct list_head pins;
	u64 count;
	u64 iova;
	u64 size;
	u64 unmaps;

	u64 most_ranges;
	bool logs;
	u32 ranges;
	unsigned long start[MOCK_MOST_RANGES];
	unsigned long last[MOCK_MOST_RANGES];
	struct xarray dirty;	/* by the number of the page */

	enum vfio_device_mig_state migrates;
	u64 state;
	u64 image;		/* what the file of a migration reads and writes */

	u64 learned;		/* of a VFIO file */
	u64 recovers;		/* what a device answered to an error */
	u64 overlaps;
};

static struct device *mock_parent;

static struct mock *to_mock(struct vfio_device *vdev)
{
	return container_of(vdev, struct mock, vdev);
}

/* Pins. */

static int mock_pin(struct mock *mock, int prot)
{
	struct mock_pin *pin;
	int ret;

	if (mock->size > VFIO_PIN_PAGES_MAX_ENTRIES)
		return -E2BIG;
	pin = kzalloc_flex(*pin, pages, mock->size);
	if (!pin)
		return -ENOMEM;
	pin->first = ALIGN_DOWN(mock->iova, PAGE_SIZE);
	pin->count = mock->size;
	pin->writable = prot & IOMMU_WRITE;
	ret = vfio_pin_pages(&mock->vdev, mock->iova, pin->count, prot, pin->pages);
	if (ret < 0) {
		kfree(pin);
		return ret;
	}
	list_add(&pin->pins, &mock->pins);
	mock->count += pin->count;
	return 0;
}

static u64 mock_last(struct mock_pin *pin)
{
	return pin->first + pin->count * PAGE_SIZE - 1;
}

/* What was pinned in one go is unpinned in one go: IOMMUFD asks for that. */
static void mock_unpin(struct mock *mock, u64 first, u64 last)
{
	struct mock_pin *pin, *next;

	list_for_each_entry_safe(pin, next, &mock->pins, pins) {
		if (mock_last(pin) < first || pin->first > last)
			continue;
		vfio_unpin_pages(&mock->vdev, pin->first, pin->count);
		list_del(&pin->pins);
		mock->count -= pin->count;
		kfree(pin);
	}
}

static void mock_dma_unmap(struct vfio_device *vdev, u64 iova, u64 length)
{
	struct mock *mock = to_mock(vdev);

	mutex_lock(&mock->lock);
	mock->unmaps++;
	mock_unpin(mock, iova, iova + length - 1);
	mutex_unlock(&mock->lock);
}

static int mock_rw(struct mock *mock, u64 *value, bool is_store)
{
	u8 *bytes;
	int ret;
	u64 i;

	if (mock->size > MOCK_MOST_BYTES)
		return -E2BIG;
	bytes = kzalloc(max_t(u64, mock->size, 1), GFP_KERNEL);
	if (!bytes)
		return -ENOMEM;
	if (is_store)
		memset(bytes, *value, mock->size);
	ret = vfio_dma_rw(&mock->vdev, mock->iova, bytes, mock->size, is_store);
	if (!is_store) {
		*value = 0;
		for (i = 0; i < mock->size; i++)
			*value += bytes[i];
	}
	kfree(bytes);
	return ret;
}

/* The log of what it writes. */

static void mock_log(struct mock *mock, u64 iova)
{
	u32 i;

	for (i = 0; mock->logs && i < mock->ranges; i++)
		if (iova >= mock->start[i] && iova <= mock->last[i])
			xa_store(&mock->dirty, iova >> PAGE_SHIFT, xa_mk_value(1), GFP_KERNEL);
}

static int mock_log_start(struct vfio_device *vdev, struct rb_root_cached *ranges, u32 count, u64 *page_size)
{
	struct mock *mock = to_mock(vdev);
	struct interval_tree_node *node;
	int ret = 0;

	mutex_lock(&mock->lock);
	if (mock->logs) {
		ret = -EEXIST;
		goto out;
	}
	if (count > mock->most_ranges)
		vfio_combine_iova_ranges(ranges, count, mock->most_ranges);
	mock->ranges = 0;
	for (node = interval_tree_iter_first(ranges, 0, ULONG_MAX); node; node = interval_tree_iter_next(node, 0, ULONG_MAX)) {
		mock->start[mock->ranges] = node->start;
		mock->last[mock->ranges++] = node->last;
	}
	*page_size = PAGE_SIZE;
	mock->logs = true;
out:
	mutex_unlock(&mock->lock);
	return ret;
}

static void mock_forget(struct mock *mock)
{
	mock->logs = false;
	xa_destroy(&mock->dirty);
}

static int mock_log_stop(struct vfio_device *vdev)
{
	struct mock *mock = to_mock(vdev);

	mutex_lock(&mock->lock);
	mock_forget(mock);
	mutex_unlock(&mock->lock);
	return 0;
}

static int mock_log_read_and_clear(struct vfio_device *vdev, unsigned long iova, unsigned long length, struct iova_bitmap *bitmap)
{
	struct mock *mock = to_mock(vdev);
	unsigned long page;
	int ret = 0;
	void *entry;

	mutex_lock(&mock->lock);
	if (!mock->logs)
		ret = -EINVAL;
	else
		xa_for_each_range(&mock->dirty, page, entry, iova >> PAGE_SHIFT, (iova + length - 1) >> PAGE_SHIFT) {
			iova_bitmap_set(bitmap, page << PAGE_SHIFT, PAGE_SIZE);
			xa_erase(&mock->dirty, page);
		}
	mutex_unlock(&mock->lock);
	return ret;
}

static const struct vfio_log_ops mock_log_ops = {
	.log_start = mock_log_start,
	.log_stop = mock_log_stop,
	.log_read_and_clear = mock_log_read_and_clear,
};

/* Migration. */

static bool mock_saves(struct mock *mock)
{
	return mock->migrates == VFIO_DEVICE_STATE_STOP_COPY;
}

static ssize_t mock_file_read(struct file *file, char __user *buf, size_t count, loff_t *pos)
{
	struct mock *mock = file->private_data;
	ssize_t ret = -ENODEV;

	mutex_lock(&mock->lock);
	if (mock_saves(mock))
		ret = simple_read_from_buffer(buf, count, &file->f_pos, &mock->image, sizeof(mock->image));
	mutex_unlock(&mock->lock);
	return ret;
}

static ssize_t mock_file_write(struct file *file, const char __user *buf, size_t count, loff_t *pos)
{
	struct mock *mock = file->private_data;
	ssize_t ret = -ENODEV;

	mutex_lock(&mock->lock);
	if (mock->migrates == VFIO_DEVICE_STATE_RESUMING)
		ret = simple_write_to_buffer(&mock->image, sizeof(mock->image), &file->f_pos, buf, count);
	mutex_unlock(&mock->lock);
	return ret;
}

static const struct file_operations mock_file_ops = {
	.owner = THIS_MODULE,
	.read = mock_file_read,
	.write = mock_file_write,
};

static struct file *mock_file(struct mock *mock, int flags)
{
	struct file *file = anon_inode_getfile("[vfio_mock]", &mock_file_ops, mock, flags);

	if (!IS_ERR(file))
		stream_open(file->f_inode, file);
	return file;
}

static struct file *mock_set_state(struct vfio_device *vdev, enum vfio_device_mig_state wanted)
{
	struct mock *mock = to_mock(vdev);
	enum vfio_device_mig_state next;
	struct file *file = NULL;
	int ret;

	mutex_lock(&mock->lock);
	while (mock->migrates != wanted) {
		ret = vfio_mig_get_next_state(vdev, mock->migrates, wanted, &next);
		if (ret) {
			file = ERR_PTR(ret);
			break;
		}
		if (next == VFIO_DEVICE_STATE_STOP_COPY) {
			mock->image = mock->state;
			file = mock_file(mock, O_RDONLY);
		} else if (next == VFIO_DEVICE_STATE_RESUMING) {
			file = mock_file(mock, O_WRONLY);
		} else if (mock->migrates == VFIO_DEVICE_STATE_RESUMING) {
			mock->state = mock->image;
		}
		if (IS_ERR(file))
			break;
		mock->migrates = next;
	}
	mutex_unlock(&mock->lock);
	return file;
}

static int mock_get_state(struct vfio_device *vdev, enum vfio_device_mig_state *state)
{
	struct mock *mock = to_mock(vdev);

	mutex_lock(&mock->lock);
	*state = mock->migrates;
	mutex_unlock(&mock->lock);
	return 0;
}

static int mock_get_data_size(struct vfio_device *vdev, unsigned long *length)
{
	*length = sizeof(to_mock(vdev)->image);
	return 0;
}

static const struct vfio_migration_ops mock_migration_ops = {
	.migration_set_state = mock_set_state,
	.migration_get_state = mock_get_state,
	.migration_get_data_size = mock_get_data_size,
};

/* A dma-buf of another device. */

static void mock_revoked(struct dma_buf_attachment *attachment)
{
}

static const struct dma_buf_attach_ops mock_attach_ops = {
	.allow_peer2peer = true,
	.invalidate_mappings = mock_revoked,
};

static int mock_import(struct mock *mock, int fd)
{
	struct dma_buf *buffer = dma_buf_get(fd);
	struct dma_buf_attachment *attachment;
	struct sg_table *table;

	if (IS_ERR(buffer))
		return PTR_ERR(buffer);
	attachment = dma_buf_dynamic_attach(buffer, mock_parent, &mock_attach_ops, mock);
	if (IS_ERR(attachment)) {
		dma_buf_put(buffer);
		return PTR_ERR(attachment);
	}
	table = dma_buf_map_attachment_unlocked(attachment, DMA_BIDIRECTIONAL);
	if (!IS_ERR(table))
		dma_buf_unmap_attachment_unlocked(attachment, table, DMA_BIDIRECTIONAL);
	dma_buf_detach(buffer, attachment);
	dma_buf_put(buffer);
	return PTR_ERR_OR_ZERO(table);
}

/* A VFIO file that a program has given to KVM (virt/kvm/vfio.c). */

static int mock_use(struct mock *mock, int fd)
{
	struct file *file = fget(fd);
	int ret = 0;

	if (!file)
		return -EBADF;
	if (!vfio_file_is_valid(file)) {
		ret = -EINVAL;
		goto out;
	}
	vfio_file_set_kvm(file, NULL);
	mock->learned = 0;
	if (vfio_file_enforced_coherent(file))
		mock->learned |= MOCK_IS_COHERENT;
	if (vfio_file_is_group(file))
		mock->learned |= MOCK_IS_OF_GROUP;
	if (vfio_file_has_dev(file, &mock->vdev))
		mock->learned |= MOCK_IS_OWN;
out:
	fput(file);
	return ret;
}

/* What comes and goes with drivers. */

static struct mock *mock_make(struct device *parent);

static int mock_twin(void)
{
	struct device *parent = root_device_register("vfio_mock_twin");
	struct mock *twin;

	if (IS_ERR(parent))
		return PTR_ERR(parent);
	twin = mock_make(parent);
	if (!IS_ERR(twin)) {
		vfio_unregister_group_dev(&twin->vdev);
		vfio_put_device(&twin->vdev);
	}
	root_device_unregister(parent);
	return PTR_ERR_OR_ZERO(twin);
}

#if IS_ENABLED(CONFIG_VFIO_CONTAINER)
static void *mock_no_container(unsigned long arg)
{
	return ERR_PTR(-EINVAL);
}

/* It is offered each container that is given an IOMMU while it is there, and takes none. */
static const struct vfio_iommu_driver_ops mock_driver_ops = {
	.name = "vfio_mock",
	.owner = THIS_MODULE,
	.open = mock_no_container,
};

static int mock_driver(void)
{
	int ret = vfio_register_iommu_driver(&mock_driver_ops);

	if (ret)
		return ret;
	ret = vfio_register_iommu_driver(&mock_driver_ops);
	vfio_unregister_iommu_driver(&mock_driver_ops);
	return ret;
}
#else
static int mock_driver(void)
{
	return -EOPNOTSUPP;
}
#endif

/* A region beyond those of PCI, which drivers of certain devices add. It is as long as a page, and each byte of it is 0xa5. */

static ssize_t mock_region_rw(struct vfio_pci_core_device *vdev, char __user *buf, size_t count, loff_t *pos, bool is_write)
{
	u64 at = *pos & VFIO_PCI_OFFSET_MASK;

	if (is_write)
		return -EPERM;
	if (at >= PAGE_SIZE)
		return -EINVAL;
	count = min_t(size_t, count, PAGE_SIZE - at);
	return copy_to_user(buf, vdev->region[0].data + at, count) ? -EFAULT : count;
}

static void mock_region_release(struct vfio_pci_core_device *vdev, struct vfio_pci_region *region)
{
	free_page((unsigned long)region->data);
}

static int mock_region_mmap(struct vfio_pci_core_device *vdev, struct vfio_pci_region *region, struct vm_area_struct *vma)
{
	if (vma->vm_end - vma->vm_start > PAGE_SIZE || vma->vm_flags & VM_WRITE)
		return -EINVAL;
	vm_flags_clear(vma, VM_MAYWRITE);
	return vm_insert_page(vma, vma->vm_start, virt_to_page(region->data));
}

static int mock_region_capability(struct vfio_pci_core_device *vdev, struct vfio_pci_region *region, struct vfio_info_cap *caps)
{
	struct vfio_info_cap_header header = { .id = VFIO_REGION_INFO_CAP_MSIX_MAPPABLE, .version = 1 };

	return vfio_info_add_capability(caps, &header, sizeof(header));
}

static const struct vfio_pci_regops mock_region_ops = {
	.rw = mock_region_rw,
	.release = mock_region_release,
	.mmap = mock_region_mmap,
	.add_capability = mock_region_capability,
};

static int mock_region(struct vfio_pci_core_device *vdev)
{
	void *page = (void *)__get_free_page(GFP_KERNEL);
	int ret;

	if (!page)
		return -ENOMEM;
	memset(page, 0xa5, PAGE_SIZE);
	ret = vfio_pci_core_register_dev_region(vdev, VFIO_REGION_TYPE_PCI_VENDOR_TYPE, 1, &mock_region_ops, PAGE_SIZE,
						VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_MMAP, page);
	if (ret)
		free_page((unsigned long)page);
	return ret;
}

/* Does something with a device that vfio-pci itself drives, and that the program has open. */
static int mock_with(struct mock *mock, int fd, loff_t does)
{
	struct file *file = fget(fd);
	struct vfio_device_file *opened;
	struct vfio_pci_core_device *vdev;
	int ret = -EINVAL;

	if (!file)
		return -EBADF;
	if (!vfio_file_is_valid(file) || vfio_file_is_group(file))
		goto out;
	opened = file->private_data;
	if (strcmp(opened->device->ops->name, "vfio-pci") || !opened->device->open_count)
		goto out;
	vdev = container_of(opened->device, struct vfio_pci_core_device, vdev);
	if (does == MOCK_REGION) {
		ret = mock_region(vdev);
	} else {
		mock->recovers = vfio_pci_core_aer_err_detected(vdev->pdev, pci_channel_io_normal);
		ret = 0;
	}
out:
	fput(file);
	return ret;
}

/* Drivers that keep a register of a device's configuration space for themselves ask this of each access. */
static u64 mock_overlap(u64 of)
{
	size_t count, from;
	loff_t at;

	if (!vfio_pci_core_range_intersect_range(of & 0xffff, of >> 16 & 0xffff, of >> 32 & 0xffff, of >> 48, &at, &count, &from))
		return 0;
	return MOCK_OVERLAPS(at, count, from);
}

/* The registers. */

static int mock_poke(struct mock *mock, u64 *value, bool is_write)
{
	struct mock_pin *pin;
	u64 *bytes;

	list_for_each_entry(pin, &mock->pins, pins) {
		if (mock->iova < pin->first || mock->iova > mock_last(pin) || (is_write && !pin->writable))
			continue;
		bytes = kmap_local_page(pin->pages[(mock->iova - pin->first) >> PAGE_SHIFT]);
		if (is_write) {
			*bytes = *value;
			mock_log(mock, mock->iova);
		} else {
			*value = *bytes;
		}
		kunmap_local(bytes);
		return 0;
	}
	return -ENXIO;
}

static int mock_get(struct mock *mock, loff_t at, u64 *value)
{
	switch (at) {
	case MOCK_IOVA:
		*value = mock->iova;
		return 0;
	case MOCK_SIZE:
		*value = mock->size;
		return 0;
	case MOCK_PIN:
		*value = mock->count;
		return 0;
	case MOCK_LOAD:
		return mock_rw(mock, value, false);
	case MOCK_POKE:
		return mock_poke(mock, value, false);
	case MOCK_UNMAPS:
		*value = mock->unmaps;
		return 0;
	case MOCK_STATE:
		*value = mock->state;
		return 0;
	case MOCK_USER:
		*value = mock->learned;
		return 0;
	case MOCK_ERROR:
		*value = mock->recovers;
		return 0;
	case MOCK_OVERLAP:
		*value = mock->overlaps;
		return 0;
	}
	return -EINVAL;
}

static int mock_put(struct mock *mock, loff_t at, u64 value)
{
	switch (at) {
	case MOCK_IOVA:
		mock->iova = value;
		return 0;
	case MOCK_SIZE:
		mock->size = value;
		return 0;
	case MOCK_PIN:
		return mock_pin(mock, value & (IOMMU_READ | IOMMU_WRITE));
	case MOCK_UNPIN:
		mock_unpin(mock, mock->iova, mock->iova + mock->size * PAGE_SIZE - 1);
		return 0;
	case MOCK_STORE:
		return mock_rw(mock, &value, true);
	case MOCK_POKE:
		return mock_poke(mock, &value, true);
	case MOCK_RANGES:
		if (!value || value > MOCK_MOST_RANGES)
			return -EINVAL;
		mock->most_ranges = value;
		return 0;
	case MOCK_STATE:
		mock->state = value;
		return 0;
	case MOCK_IMPORT:
		return mock_import(mock, value);
	case MOCK_USER:
		return mock_use(mock, value);
	case MOCK_TWIN:
		return mock_twin();
	case MOCK_DRIVER:
		return mock_driver();
	case MOCK_REGION:
	case MOCK_ERROR:
		return mock_with(mock, value, at);
	case MOCK_OVERLAP:
		mock->overlaps = mock_overlap(value);
		return 0;
	}
	return -EINVAL;
}

static ssize_t mock_read(struct vfio_device *vdev, char __user *buf, size_t count, loff_t *pos)
{
	struct mock *mock = to_mock(vdev);
	u64 value = 0;
	int ret;

	if (count != sizeof(value))
		return -EINVAL;
	mutex_lock(&mock->lock);
	ret = mock_get(mock, *pos, &value);
	mutex_unlock(&mock->lock);
	if (ret)
		return ret;
	return copy_to_user(buf, &value, count) ? -EFAULT : count;
}

static ssize_t mock_write(struct vfio_device *vdev, const char __user *buf, size_t count, loff_t *pos)
{
	struct mock *mock = to_mock(vdev);
	u64 value;
	int ret;

	if (count != sizeof(value))
		return -EINVAL;
	if (copy_from_user(&value, buf, count))
		return -EFAULT;
	mutex_lock(&mock->lock);
	ret = mock_put(mock, *pos, value);
	mutex_unlock(&mock->lock);
	return ret ? ret : count;
}

static int mock_open(struct vfio_device *vdev)
{
	struct mock *mock = to_mock(vdev);

	mutex_lock(&mock->lock);
	mock->unmaps = 0;
	mock->state = 0;
	mock->most_ranges = MOCK_MOST_RANGES;
	mock->migrates = VFIO_DEVICE_STATE_RUNNING;
	mutex_unlock(&mock->lock);
	return 0;
}

static void mock_close(struct vfio_device *vdev)
{
	struct mock *mock = to_mock(vdev);

	mutex_lock(&mock->lock);
	mock_unpin(mock, 0, U64_MAX);
	mock_forget(mock);
	mock->migrates = VFIO_DEVICE_STATE_STOP;
	mutex_unlock(&mock->lock);
}

static int mock_init(struct vfio_device *vdev)
{
	struct mock *mock = to_mock(vdev);

	mutex_init(&mock->lock);
	INIT_LIST_HEAD(&mock->pins);
	xa_init(&mock->dirty);
	vdev->log_ops = &mock_log_ops;
	vdev->mig_ops = &mock_migration_ops;
	vdev->migration_flags = VFIO_MIGRATION_STOP_COPY | VFIO_MIGRATION_P2P | VFIO_MIGRATION_PRE_COPY;
	return 0;
}

/* No ioctl, mmap, device_feature and get_region_info_caps: the kernel has to answer for a driver without them. */
static const struct vfio_device_ops mock_ops = {
	.name = "vfio_mock",
	.init = mock_init,
	.open_device = mock_open,
	.close_device = mock_close,
	.read = mock_read,
	.write = mock_write,
	.dma_unmap = mock_dma_unmap,
	.bind_iommufd = vfio_iommufd_emulated_bind,
	.unbind_iommufd = vfio_iommufd_emulated_unbind,
	.attach_ioas = vfio_iommufd_emulated_attach_ioas,
	.detach_ioas = vfio_iommufd_emulated_detach_ioas,
};

static struct mock *mock_make(struct device *parent)
{
	struct mock *mock = vfio_alloc_device(mock, vdev, parent, &mock_ops);
	int ret;

	if (IS_ERR(mock))
		return mock;
	ret = vfio_register_emulated_iommu_dev(&mock->vdev);
	if (!ret)
		return mock;
	vfio_put_device(&mock->vdev);
	return ERR_PTR(ret);
}

static int __init vfio_mock_init(void)
{
	struct mock *mock;

	mock_parent = root_device_register("vfio_mock");
	if (IS_ERR(mock_parent))
		return PTR_ERR(mock_parent);
	mock = mock_make(mock_parent);
	if (IS_ERR(mock))
		root_device_unregister(mock_parent);
	return PTR_ERR_OR_ZERO(mock);
}
late_initcall(vfio_mock_init);

MODULE_IMPORT_NS("DMA_BUF");
MODULE_IMPORT_NS("IOMMUFD");
MODULE_LICENSE("Dual MIT/GPL");
MODULE_DESCRIPTION("A VFIO device without hardware");
