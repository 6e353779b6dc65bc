// SPDX-License-Identifier: MIT OR Apache-2.0
//! Devices behind a backend: opened in the order that the kernel wants, closed in the other.

use std::{
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd},
    path::{Path, PathBuf},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};

use super::{
    Container, Device, Ioas, Iommu, OpenError, Rules,
    container::{Group, NoGroup},
    error::OpenCall,
};
use crate::{
    host::pci,
    model::{BackendName, Bdf, Errno},
    uapi::{self, Tracer, VfToken, iommufd, process, vfio},
};

/// How long to try to open a device that somebody else has locked, and how long to pause between two tries.
const PATIENCE: Duration = Duration::from_secs(1);
const TICK: Duration = Duration::from_millis(10);

/// An open device with the address space that it is attached to.
#[derive(Debug)]
pub struct Session {
    // The order of the fields is the order of their drops: the device lets go of its address space first.
    device: Device,
    group: Option<Arc<Group>>,
    space: Space,
    true_name: BackendName,
}

/// An address space that devices can be attached to, one after the other or at the same time; clones are the same one.
#[derive(Debug, Clone)]
pub struct Space {
    behind: Behind,
    name: BackendName,
    tracer: Tracer,
}

#[derive(Debug, Clone)]
enum Behind {
    Container(Arc<Container>),
    Ioas(Ioas),
}

/// What of a session a process has to know that takes its open files over by their numbers.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Inherited {
    name: BackendName,
    true_name: BackendName,
    bdf: Bdf,
    device: RawFd,
    iommufd_id: Option<u32>,
    /// The file of the address space, and its id on IOMMUFD.
    space: RawFd,
    ioas: Option<u32>,
}

impl Inherited {
    /// The session, in a process that has its files under the same numbers. They are closed with it.
    pub fn session(&self, tracer: &Tracer) -> Result<Session, Errno> {
        let Inherited { name, true_name, bdf, device, iommufd_id, space, ioas } = *self;
        let (device, space) = (process::inherited(device)?, process::inherited(space)?);
        let behind = match (ioas, Rules::of(name).container) {
            (Some(id), _) => Behind::Ioas(Ioas::inherited(space, id, tracer)),
            (None, kind) => Behind::Container(Arc::new(Container::new(space, kind.unwrap_or_default(), tracer))),
        };
        let device = Device::inherited(device, bdf, iommufd_id, tracer);
        let space = Space { behind, name, tracer: tracer.clone() };
        Ok(Session { device, group: None, space, true_name })
    }
}

impl Session {
    /// The files that a process has to inherit for it: the device's and the address space's.
    pub fn files(&self) -> [BorrowedFd<'_>; 2] {
        let space = match &self.space.behind {
            Behind::Container(container) => container.fd(),
            Behind::Ioas(ioas) => ioas.fd(),
        };
        [self.device.fd(), space]
    }

    /// For a process that inherits its files.
    pub fn to_inherit(&self) -> Inherited {
        let [device, space] = self.files();
        Inherited {
            name: self.name(),
            true_name: self.true_name,
            bdf: self.device.bdf(),
            device: device.as_raw_fd(),
            iommufd_id: self.device.iommufd_id(),
            space: space.as_raw_fd(),
            ioas: self.ioas().map(Ioas::id),
        }
    }

    pub fn device(&self) -> &Device {
        &self.device
    }

    pub fn iommu(&self) -> &dyn Iommu {
        match &self.space.behind {
            Behind::Container(container) => container.as_ref(),
            Behind::Ioas(ioas) => ioas,
        }
    }

    /// The address space as an IOAS; `None` on a container.
    pub fn ioas(&self) -> Option<&Ioas> {
        match &self.space.behind {
            Behind::Ioas(ioas) => Some(ioas),
            Behind::Container(_) => None,
        }
    }

    /// The address space as a container; `None` on IOMMUFD.
    pub fn container(&self) -> Option<&Container> {
        match &self.space.behind {
            Behind::Container(container) => Some(container),
            Behind::Ioas(..) => None,
        }
    }

    /// The device's group; `None` if the device was opened by its own file.
    pub fn group(&self) -> Option<&Arc<Group>> {
        self.group.as_ref()
    }

    /// The backend that was asked for.
    pub fn name(&self) -> BackendName {
        self.space.name
    }

    /// The backend that answers: with `CONFIG_IOMMUFD_VFIO_CONTAINER` it is IOMMUFD that plays `/dev/vfio/vfio`.
    pub fn true_name(&self) -> BackendName {
        self.true_name
    }
}

impl Space {
    /// An address space without devices, on a file of its own; `bdf` is the device that it is for.
    pub fn new(name: BackendName, bdf: Bdf, tracer: &Tracer) -> Result<Space, OpenError> {
        let rules = Rules::of(name);
        let path = Path::new(rules.file);
        let file = open_file(path, bdf, tracer)?;
        let step = |what| move |errno| OpenError::call(what, path, errno, bdf);
        let space = |behind| Space { behind, name, tracer: tracer.clone() };
        let Some(kind) = rules.container else {
            let ioas = Ioas::alloc(file, tracer).map_err(step(OpenCall::IoasAlloc))?;
            return Ok(space(Behind::Ioas(ioas)));
        };
        let version = vfio::api_version(file.as_fd(), tracer).map_err(step(OpenCall::ApiVersion))?;
        if version != vfio::API_VERSION {
            return Err(step(OpenCall::ApiVersion)(Errno(libc::EPROTO)));
        }
        if vfio::check_extension(file.as_fd(), kind, tracer).map_err(step(OpenCall::CheckExtension))? == 0 {
            return Err(step(OpenCall::CheckExtension)(Errno(libc::EOPNOTSUPP)));
        }
        Ok(space(Behind::Container(Arc::new(Container::new(file, kind, tracer)))))
    }

    /// Opens a device, bound to vfio-pci already, and attaches it. `token` is the VF token that an SR-IOV device and its virtual functions
    /// need.
    pub fn open(&self, bdf: Bdf, token: Option<&VfToken>) -> Result<Session, OpenError> {
        match &self.behind {
            Behind::Container(container) => self.through_group(container, bdf, token),
            Behind::Ioas(ioas) => self.through_cdev(ioas, bdf, token),
        }
    }

    fn through_group(
        &self,
        container: &Arc<Container>,
        bdf: Bdf,
        token: Option<&VfToken>,
    ) -> Result<Session, OpenError> {
        let number = pci::group(bdf).ok_or_else(|| OpenError::no_group(bdf))?;
        let path = PathBuf::from(format!("/dev/vfio/{number}"));
        let step = |what| {
            let path = path.clone();
            move |errno| OpenError::call(what, &path, errno, bdf)
        };
        let group = container.group(number, &path).map_err(|no_group| match no_group {
            NoGroup::Call(call, errno) => step(call)(errno),
            NoGroup::NotViable => OpenError::not_viable(&path, bdf),
        })?;
        let name = match token {
            Some(token) => format!("{bdf} vf_token={token}"),
            None => bdf.to_string(),
        };
        let open = || vfio::group_device_fd(group.fd(), &name, &self.tracer);
        let fd = while_locked(open).map_err(step(OpenCall::DeviceFd))?;
        let device = Device::new(fd, bdf, &self.tracer);
        let real = container.is_real_type1().map_err(step(OpenCall::CheckExtension))?;
        let true_name = Rules::of(self.name).played_by.filter(|_| !real).unwrap_or(self.name);
        Ok(Session { device, group: Some(group), space: self.clone(), true_name })
    }

    fn through_cdev(&self, ioas: &Ioas, bdf: Bdf, token: Option<&VfToken>) -> Result<Session, OpenError> {
        let path = translated_cdev(bdf)?;
        let tracer = &self.tracer;
        let mut device = Device::new(open_file(&path, bdf, tracer)?, bdf, tracer);
        let step = |what| {
            let path = path.clone();
            move |errno| OpenError::call(what, &path, errno, bdf)
        };
        while_locked(|| device.bind(ioas.fd(), token)).map_err(step(OpenCall::Bind))?;
        device.attach(ioas.id(), None).map_err(step(OpenCall::Attach))?;
        Ok(Session { device, group: None, space: self.clone(), true_name: self.name })
    }
}

/// Makes a call that resets a device again while somebody else has its lock for a moment, as udev does while it looks at a device that has just
/// come. The kernel fails with `EAGAIN` rather than wait, also where it resets a device because it is opened (`vfio_pci_core_enable` in
/// drivers/vfio/pci/vfio_pci_core.c).
pub fn while_locked<T>(mut call: impl FnMut() -> Result<T, Errno>) -> Result<T, Errno> {
    let until = Instant::now() + PATIENCE;
    loop {
        match call() {
            Err(Errno(libc::EAGAIN)) if Instant::now() < until => thread::sleep(TICK),
            got => return got,
        }
    }
}

/// The configuration space of a device on vfio-pci, as VFIO shows it to whoever may open the device.
pub fn config_space(bdf: Bdf) -> Option<Vec<u8>> {
    let through = |name| {
        let space = Space::new(name, bdf, &Tracer::new()).ok()?;
        space.open(bdf, None).ok()?.device().config_space().ok()
    };
    [BackendName::VfioType1v2, BackendName::Iommufd].into_iter().find_map(through)
}

/// Looks whether the kernel has a backend for a device that is bound to vfio-pci. The device is not opened.
///
/// # Errors
/// Why not.
pub fn look(name: BackendName, bdf: Bdf) -> Result<(), OpenError> {
    let space = Space::new(name, bdf, &Tracer::new())?;
    match space.behind {
        Behind::Container(_) => pci::group(bdf).map(drop).ok_or_else(|| OpenError::no_group(bdf)),
        Behind::Ioas(_) => translated_cdev(bdf).map(drop),
    }
}

/// The device's own file, if an IOMMU translates what is mapped there.
fn translated_cdev(bdf: Bdf) -> Result<PathBuf, OpenError> {
    pci::cdev(bdf).filter(|path| !pci::is_without_iommu(path)).ok_or_else(|| OpenError::no_cdev(bdf))
}

/// The backend that answers to this name, where it is another one: with `CONFIG_IOMMUFD_VFIO_CONTAINER` it is IOMMUFD that
/// plays `/dev/vfio/vfio`, and such a file takes the requests of `/dev/iommu` too.
pub fn disguised(name: BackendName, tracer: &Tracer) -> Option<BackendName> {
    let rules = Rules::of(name);
    let truth = rules.played_by?;
    let file = uapi::open(Path::new(rules.file), tracer).ok()?;
    let answers = iommufd::ioas_alloc(file.as_fd(), tracer).is_ok();
    uapi::close(file, tracer); // with what was made on it
    answers.then_some(truth)
}

fn open_file(path: &Path, bdf: Bdf, tracer: &Tracer) -> Result<OwnedFd, OpenError> {
    uapi::open(path, tracer).map_err(|errno| OpenError::call(OpenCall::Open, path, errno, bdf))
}
