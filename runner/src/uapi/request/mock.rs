// SPDX-License-Identifier: MIT OR Apache-2.0
//! IOMMU_TEST_CMD: the mock IOMMU of IOMMUFD's selftests (CONFIG_IOMMUFD_TEST), as `drivers/iommu/iommufd/iommufd_test.h` of 7.3 has it.
//!
//! It is one request with a number for what it does, the field `op`; here each of them is a request by the name of that number. What it
//! maps no device reaches. The header is not one of the uapi, so a later kernel may have other numbers; a kernel without the option
//! fails with ENOTTY. The dma-bufs of IOMMU_TEST_OP_DMABUF_GET are left out: up to 7.3 it returns 0 and not the file that it opened
//! (`iommufd_test_dmabuf_get` in selftest.c).

use super::Direction::{In, Out};
use super::Means::Signed;
use super::pointer::quad;
use super::table::{field, reads, writes};
use super::{Argument, Direction, Field, File, Means, Pointer, Request, words};
use crate::uapi::ioctl::io;

/// `struct iommu_test_cmd`: the header, a union that begins behind it, and a last word.
const SIZE: usize = 72;

const fn word(name: &'static str, offset: usize, direction: Direction) -> Field {
    field(name, offset, 4, direction)
}

const fn long(name: &'static str, offset: usize) -> Field {
    field(name, offset, 8, In)
}

/// One of them: its name, its number, the fields in its part of the union, and the addresses.
macro_rules! ops {
    ($($name:literal $op:literal [$($field:expr),*] $(pointers $pointer:expr)?;)*) => {
        pub(super) const MOCK: &[Request] = &[$(Request {
            name: concat!("IOMMU_TEST_OP_", $name),
            number: io(iommufd_bindings::IOMMUFD_CMD_BASE + 32),
            op: Some($op),
            on: File::Iommufd,
            argument: Argument::Sized,
            size: SIZE,
            fields: &[word("size", 0, In), word("id", 8, In), word("__reserved", 12, In), $($field),*],
            arrays: &[],
            pointers: &[$($pointer)?],
            chain: None,
        }),*];
    };
}

#[rustfmt::skip]
ops! {
    "ADD_RESERVED" 1 [long("start", 16), long("length", 24)];
    "MOCK_DOMAIN" 2 [word("out_stdev_id", 16, Out), word("out_hwpt_id", 20, Out), word("out_idev_id", 24, Out)];
    "MD_CHECK_MAP" 3 [long("iova", 16), long("length", 24), long("uptr", 32)] pointers reads(32);
    "MD_CHECK_REFS" 4 [long("length", 16), long("uptr", 24), word("refs", 32, In)] pointers reads(24);
    "CREATE_ACCESS" 5 [word("out_access_fd", 16, Out).means(Signed), word("flags", 20, In).means(Means::flags(words::MOCK_CREATE_ACCESS))];
    "DESTROY_ACCESS_PAGES" 6 [word("access_pages_id", 16, In)];
    "ACCESS_PAGES" 7 [word("flags", 16, In).means(Means::flags(words::MOCK_ACCESS)), word("out_access_pages_id", 20, Out), long("iova", 24),
        long("length", 32), long("uptr", 40)] pointers reads(40);
    "ACCESS_RW" 8 [long("iova", 16), long("length", 24), long("uptr", 32), word("flags", 40, In).means(Means::flags(words::MOCK_ACCESS_RW))]
        pointers access_rw();
    "SET_TEMP_MEMORY_LIMIT" 9 [word("limit", 16, In)];
    "MOCK_DOMAIN_REPLACE" 10 [word("pt_id", 16, In)];
    "ACCESS_REPLACE_IOAS" 11 [word("ioas_id", 16, In)];
    "MOCK_DOMAIN_FLAGS" 12 [word("out_stdev_id", 16, Out), word("out_hwpt_id", 20, Out), word("out_idev_id", 24, Out),
        word("dev_flags", 28, In).means(Means::flags(words::MOCK_DEVICE))];
    "DIRTY" 13 [word("flags", 16, In), long("iova", 24), long("length", 32), long("page_size", 40), long("uptr", 48),
        field("out_nr_dirty", 56, 8, Out)] pointers reads(48);
    "MD_CHECK_IOTLB" 14 [word("check_iotlb.id", 16, In), word("check_iotlb.iotlb", 20, In)];
    "TRIGGER_IOPF" 15 [word("dev_id", 16, In), word("pasid", 20, In), word("grpid", 24, In),
        word("perm", 28, In).means(Means::flags(words::MOCK_IOPF)), long("addr", 32)];
    "DEV_CHECK_CACHE" 16 [word("check_dev_cache.id", 16, In), word("check_dev_cache.cache", 20, In)];
    "TRIGGER_VEVENT" 17 [word("dev_id", 16, In)];
    "PASID_ATTACH" 18 [word("pasid", 16, In), word("pt_id", 20, In)];
    "PASID_REPLACE" 19 [word("pasid", 16, In), word("pt_id", 20, In)];
    "PASID_DETACH" 20 [word("pasid", 16, In)];
    "PASID_CHECK_HWPT" 21 [word("pasid", 16, In), word("hwpt_id", 20, In)];
}

/// It reads or writes the caller's memory, as its flags say: taken as if it wrote.
const fn access_rw() -> Pointer {
    writes(32, |bytes| quad(bytes, 24))
}
