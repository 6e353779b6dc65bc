// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Capabilities for a device of a guest that it does not have, for the lab's own kernels: with mock_capabilities.device=0000:00:06.0 on the
 * command line, its configuration space has more of them than QEMU gives to any device.
 *
 * VFIO reads the space as it is, decides of each capability how long it is and whether a program sees it, and lets a program write some of
 * their fields (drivers/vfio/pci/vfio_pci_config.c). The kernel itself looks for capabilities when it finds a device, before this is there.
 * What is written to such a capability stays there, but for its header. Three of them do something:
 *
 * - Vital Product Data is one cell of four bytes, which is read and written through the registers of the capability.
 * - What is written to the first register of the vendor's capability makes the first BAR read as 0, as after a reset that loses the BARs,
 *   until it is written again; then the register is 0.
 * - A number N in the second one makes the Nth read of a header, or of a field that tells a size, fail.
 */
#include <linux/bitmap.h>
#include <linux/init.h>
#include <linux/moduleparam.h>
#include <linux/pci.h>

#define CHAIN_FROM	0xe0	/* on PCI Express: the devices of QEMU have nothing from there on */
#define CHAIN_FROM_OLD	0x60	/* on others */
#define CHAIN_END	PCI_CFG_SPACE_SIZE
#define FAR_FROM	0x200	/* the extended ones */

struct capability {
	u16 id;
	u8 size;	/* in bytes; a multiple of 4 */
	u8 at;		/* where a field tells the size, or 0; behind it, what stands there */
	u32 is;
	u32 and_is;	/* and in the next four bytes */
};

static const struct capability near[] __initconst = {
	{ PCI_CAP_ID_VPD, 8 },
	{ PCI_CAP_ID_AF, 8, 0, (PCI_AF_CAP_TP | PCI_AF_CAP_FLR) << 24 | 6 << 16 },
	{ PCI_CAP_ID_SATA, 8 },
	{ PCI_CAP_ID_PCIX, 8 },
	/* There is no room for these on PCI Express. */
	{ PCI_CAP_ID_SATA, 16, PCI_SATA_REGS, PCI_SATA_REGS_INLINE },
	{ PCI_CAP_ID_PCIX, 24, 0, 0x1000 << 16 },	/* version 2 */
	{ PCI_CAP_ID_HT, 24, 0, (u32)HT_CAPTYPE_HOST << 24 },
	{ PCI_CAP_ID_HT, 28, 0, (u32)HT_CAPTYPE_SLAVE << 24 },
	{ PCI_CAP_ID_VNDR, 8, 0, 8 << 16 },
	{ PCI_CAP_ID_SLOTID, 4 },	/* not shown */
	{ PCI_CAP_ID_MAX + 1, 4 },	/* not known */
};

static const struct capability far[] __initconst = {
	{ PCI_EXT_CAP_ID_VC, 0x70, PCI_VC_PORT_CAP1, 1, PCI_VC_CAP2_128_PHASE },
	{ PCI_EXT_CAP_ID_VC9, 0x50, PCI_VC_PORT_CAP1, 1, PCI_VC_CAP2_64_PHASE },
	{ PCI_EXT_CAP_ID_MFVC, 0x40, PCI_VC_PORT_CAP1, 1, PCI_VC_CAP2_32_PHASE },
	{ PCI_EXT_CAP_ID_VC, 0x1c, PCI_VC_PORT_CAP1 },
	{ PCI_EXT_CAP_ID_VNDR, 0x14, PCI_VNDR_HEADER, 0x14 << 20 },
	{ PCI_EXT_CAP_ID_ACS, 8, PCI_ACS_CAP },
	{ PCI_EXT_CAP_ID_ACS, 16, PCI_ACS_CAP, 40 << 8 | PCI_ACS_EC },
	{ PCI_EXT_CAP_ID_REBAR, 12, PCI_REBAR_CAP, 0x10, 1 << PCI_REBAR_CTRL_NBAR_SHIFT },
	{ PCI_EXT_CAP_ID_DPA, 20, PCI_DPA_CAP, 3 },
	{ PCI_EXT_CAP_ID_TPH, 12, PCI_TPH_CAP },
	{ PCI_EXT_CAP_ID_TPH, 20, PCI_TPH_CAP, PCI_TPH_LOC_CAP | 3 << PCI_TPH_CAP_ST_SHIFT },
	{ PCI_EXT_CAP_ID_DVSEC, 0x10, PCI_DVSEC_HEADER1, 0x10 << 20 },
	{ PCI_EXT_CAP_ID_PASID, 8 },		/* not shown */
	{ PCI_EXT_CAP_ID_MAX + 1, 4 },		/* not known */
	{ PCI_EXT_CAP_ID_DSN, 12 },
	{ PCI_EXT_CAP_ID_LTR, 8 },
};

static char *device;
module_param(device, charp, 0444);
MODULE_PARM_DESC(device, "The address of the device that has more capabilities, such as 0000:00:06.0");

static struct pci_dev *mocked;
static struct pci_ops *real;
static struct pci_ops ops;
static u8 space[PCI_CFG_SPACE_EXP_SIZE];
static DECLARE_BITMAP(has, PCI_CFG_SPACE_EXP_SIZE);
static DECLARE_BITMAP(locked, PCI_CFG_SPACE_EXP_SIZE);
static DECLARE_BITMAP(tells, PCI_CFG_SPACE_EXP_SIZE);	/* headers, and fields with sizes */
static int product_data;	/* where this capability is */
static int loses;		/* where the vendor's registers are, or 0 */
static int fails;

static int mock_read(struct pci_bus *bus, unsigned int devfn, int where, int size, u32 *value)
{
	int ret = real->read(bus, devfn, where, size, value);
	int i;

	if (ret || bus != mocked->bus || devfn != mocked->devfn)
		return ret;
	if (fails && test_bit(where, tells) && space[fails] && !--space[fails]) {
		PCI_SET_ERROR_RESPONSE(value);
		return PCIBIOS_DEVICE_NOT_FOUND;
	}
	for (i = 0; i < size; i++) {
		if (!test_bit(where + i, has))
			continue;
		*value &= ~(0xffU << (8 * i));
		*value |= (u32)space[where + i] << (8 * i);
	}
	return ret;
}

static void lose_bar(bool is_lost)
{
	int i;

	for (i = 0; i < 4; i++)
		assign_bit(PCI_BASE_ADDRESS_0 + i, has, is_lost);
	if (!is_lost)
		space[loses] = 0;
}

static int mock_write(struct pci_bus *bus, unsigned int devfn, int where, int size, u32 value)
{
	int i;

	if (bus == mocked->bus && devfn == mocked->devfn && where == PCI_BASE_ADDRESS_0 && test_bit(where, has))
		lose_bar(false);
	if (bus != mocked->bus || devfn != mocked->devfn || !test_bit(where, has))
		return real->write(bus, devfn, where, size, value);
	for (i = 0; i < size; i++)
		if (test_bit(where + i, has) && !test_bit(where + i, locked))
			space[where + i] = value >> (8 * i);
	if (where == product_data + PCI_VPD_ADDR && size == 2)
		space[where + 1] ^= PCI_VPD_ADDR_F >> 8;	/* done at once */
	if (loses && where == loses)
		lose_bar(space[loses]);
	return PCIBIOS_SUCCESSFUL;
}

static void __init put(int at, u32 value, int size, bool is_locked)
{
	int i;

	for (i = 0; i < size; i++) {
		space[at + i] |= value >> (8 * i);
		set_bit(at + i, has);
		if (is_locked)
			set_bit(at + i, locked);
	}
}

static void __init fill(const struct capability *it, int at)
{
	int i;

	for (i = 0; i < it->size; i++)
		set_bit(at + i, has);
	bitmap_set(tells, at, 4);
	if (it->at)
		bitmap_set(tells, at + it->at, 8);
	put(at + it->at, it->is, 4, false);
	put(at + it->at + 4, it->at ? it->and_is : 0, it->at ? 4 : 0, false);
}

/* Before the real ones, which follow. */
static void __init fill_near(int at)
{
	u8 first, next;
	int i;

	pci_read_config_byte(mocked, PCI_CAPABILITY_LIST, &first);
	put(PCI_CAPABILITY_LIST, at, 1, true);
	for (i = 0; i < ARRAY_SIZE(near) && at + near[i].size <= CHAIN_END; i++) {
		bool is_last = i + 1 == ARRAY_SIZE(near) || at + near[i].size + near[i + 1].size > CHAIN_END;

		next = is_last ? first : at + near[i].size;
		fill(&near[i], at);
		put(at, next << 8 | near[i].id, 2, true);
		if (near[i].id == PCI_CAP_ID_VPD)
			product_data = at;
		at += near[i].size;
	}
}

/* Behind the first real one, and the other real ones follow. */
static void __init fill_far(void)
{
	int i, at = FAR_FROM;
	u32 first;

	pci_read_config_dword(mocked, PCI_CFG_SPACE_SIZE, &first);
	put(PCI_CFG_SPACE_SIZE, (first & 0xfffff) | FAR_FROM << 20, 4, true);
	for (i = 0; i < ARRAY_SIZE(far); i++) {
		u32 next = i + 1 == ARRAY_SIZE(far) ? first >> 20 : at + far[i].size;

		fill(&far[i], at);
		put(at, next << 20 | 1 << 16 | far[i].id, 4, true);
		if (far[i].id == PCI_EXT_CAP_ID_VNDR) {
			loses = at + 8;
			fails = at + 12;
			bitmap_clear(tells, loses, 8);
		}
		at += far[i].size;
	}
}

static int __init mock_capabilities_init(void)
{
	unsigned int domain, bus, slot, function;

	if (!device)
		return 0;
	if (sscanf(device, "%x:%x:%x.%x", &domain, &bus, &slot, &function) != 4)
		return -EINVAL;
	mocked = pci_get_domain_bus_and_slot(domain, bus, PCI_DEVFN(slot, function));
	if (!mocked)
		return -ENODEV;
	fill_near(pci_is_pcie(mocked) ? CHAIN_FROM : CHAIN_FROM_OLD);
	if (mocked->cfg_size > PCI_CFG_SPACE_SIZE)
		fill_far();
	mocked->vpd.cap = product_data;
	mocked->vpd.len = PCI_VPD_ADDR_MASK + 1;
	real = mocked->bus->ops;
	ops = *real;
	ops.read = mock_read;
	ops.write = mock_write;
	pci_bus_set_ops(mocked->bus, &ops);
	return 0;
}
late_initcall(mock_capabilities_init);
