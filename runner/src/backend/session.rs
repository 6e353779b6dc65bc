//! A device behind a backend: opened in the order that the kernel wants, closed in the other.

use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use super::{Container, Device, Ioas, Iommu, Name, OpenError};
use crate::host::{Bdf, pci};
use crate::uapi::{self, Errno, Tracer, iommufd, vfio};

/// An open device with the address space that it is attached to.
#[derive(Debug)]
pub struct Session {
    // The order of the fields is the order of their drops: the device lets go of its address space first.
    device: Device,
    iommu: Behind,
    name: Name,
    true_name: Name,
}

#[derive(Debug)]
enum Behind {
    Container(Container),
    Ioas(Ioas),
}

impl Session {
    /// The device.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// The address space.
    pub fn iommu(&self) -> &dyn Iommu {
        match &self.iommu {
            Behind::Container(container) => container,
            Behind::Ioas(ioas) => ioas,
        }
    }

    /// The address space as what only IOMMUFD has; `None` on a container.
    pub fn ioas(&self) -> Option<&Ioas> {
        match &self.iommu {
            Behind::Ioas(ioas) => Some(ioas),
            Behind::Container(_) => None,
        }
    }

    /// The address space as what only a container has; `None` on IOMMUFD.
    pub fn container(&self) -> Option<&Container> {
        match &self.iommu {
            Behind::Container(container) => Some(container),
            Behind::Ioas(..) => None,
        }
    }

    /// The backend that was asked for.
    pub fn name(&self) -> Name {
        self.name
    }

    /// The backend that answers: with `CONFIG_IOMMUFD_VFIO_CONTAINER` it is IOMMUFD that plays `/dev/vfio/vfio`.
    pub fn true_name(&self) -> Name {
        self.true_name
    }
}

/// Opens a device, bound to vfio-pci already, behind a backend.
pub fn open(name: Name, bdf: Bdf, tracer: &Tracer) -> Result<Session, OpenError> {
    match name {
        Name::VfioType1 => open_container(name, Path::new("/dev/vfio/vfio"), vfio::TYPE1, bdf, tracer),
        Name::VfioType1v2 => open_container(name, Path::new("/dev/vfio/vfio"), vfio::TYPE1V2, bdf, tracer),
        Name::CompatType1 => open_container(name, Path::new("/dev/iommu"), vfio::TYPE1, bdf, tracer),
        Name::CompatType1v2 => open_container(name, Path::new("/dev/iommu"), vfio::TYPE1V2, bdf, tracer),
        Name::Iommufd => open_ioas(bdf, tracer),
    }
}

fn open_container(name: Name, path: &Path, kind: u32, bdf: Bdf, tracer: &Tracer) -> Result<Session, OpenError> {
    let number = pci::group(bdf).ok_or_else(|| OpenError::no_group(bdf))?;
    let group_path = PathBuf::from(format!("/dev/vfio/{number}"));

    let container = open_file(path, bdf, tracer)?;
    let step = |what| move |errno| OpenError::new(what, path, errno, bdf);
    let version = vfio::api_version(container.as_fd(), tracer).map_err(step("VFIO_GET_API_VERSION"))?;
    if version != vfio::API_VERSION {
        return Err(step("VFIO_GET_API_VERSION")(Errno(libc::EPROTO)));
    }
    if vfio::check_extension(container.as_fd(), kind, tracer).map_err(step("VFIO_CHECK_EXTENSION"))? == 0 {
        return Err(step("VFIO_CHECK_EXTENSION")(Errno(libc::EOPNOTSUPP)));
    }

    let group = open_file(&group_path, bdf, tracer)?;
    let step = |what| {
        let group_path = group_path.clone();
        move |errno| OpenError::new(what, &group_path, errno, bdf)
    };
    let status = vfio::group_status(group.as_fd(), tracer).map_err(step("VFIO_GROUP_GET_STATUS"))?;
    if !status.viable {
        return Err(OpenError::not_viable(&group_path, bdf));
    }
    vfio::group_set_container(group.as_fd(), container.as_fd(), tracer).map_err(step("VFIO_GROUP_SET_CONTAINER"))?;
    let container = Container::new(container, group, tracer);
    vfio::set_iommu(container.fd(), kind, tracer).map_err(step("VFIO_SET_IOMMU"))?;
    let fd =
        vfio::group_device_fd(container.group(), &bdf.to_string(), tracer).map_err(step("VFIO_GROUP_GET_DEVICE_FD"))?;
    let device = Device::new(fd, bdf, tracer);
    let real = container.is_real_type1().map_err(step("VFIO_CHECK_EXTENSION"))?;
    let true_name = match name {
        Name::VfioType1 if !real => Name::CompatType1,
        Name::VfioType1v2 if !real => Name::CompatType1v2,
        name => name,
    };
    Ok(Session { device, iommu: Behind::Container(container), name, true_name })
}

fn open_ioas(bdf: Bdf, tracer: &Tracer) -> Result<Session, OpenError> {
    let path = pci::cdev(bdf).ok_or_else(|| OpenError::no_cdev(bdf))?;
    // The device's file comes second: without IOMMUFD there is no point in it.
    let iommufd_path = Path::new("/dev/iommu");
    let iommufd = open_file(iommufd_path, bdf, tracer)?;
    let mut device = Device::new(open_file(&path, bdf, tracer)?, bdf, tracer);
    let step = |what| {
        let path = path.clone();
        move |errno| OpenError::new(what, &path, errno, bdf)
    };
    device.bind(iommufd.as_fd()).map_err(step("VFIO_DEVICE_BIND_IOMMUFD"))?;
    let ioas =
        Ioas::alloc(iommufd, tracer).map_err(|errno| OpenError::new("IOMMU_IOAS_ALLOC", iommufd_path, errno, bdf))?;
    device.attach(ioas.id()).map_err(step("VFIO_DEVICE_ATTACH_IOMMUFD_PT"))?;
    Ok(Session { device, iommu: Behind::Ioas(ioas), name: Name::Iommufd, true_name: Name::Iommufd })
}

/// The backend that answers to this name, where it is another one: with `CONFIG_IOMMUFD_VFIO_CONTAINER` it is IOMMUFD that
/// plays `/dev/vfio/vfio`, and such a file takes the requests of `/dev/iommu` too.
pub fn disguised(name: Name, tracer: &Tracer) -> Option<Name> {
    let truth = match name {
        Name::VfioType1 => Name::CompatType1,
        Name::VfioType1v2 => Name::CompatType1v2,
        _ => return None,
    };
    let file = uapi::open(Path::new("/dev/vfio/vfio"), tracer).ok()?;
    let answers = iommufd::ioas_alloc(file.as_fd(), tracer).is_ok();
    uapi::close(file, tracer); // with what was made on it
    answers.then_some(truth)
}

fn open_file(path: &Path, bdf: Bdf, tracer: &Tracer) -> Result<OwnedFd, OpenError> {
    uapi::open(path, tracer).map_err(|errno| OpenError::new("open", path, errno, bdf))
}
