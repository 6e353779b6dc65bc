// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the files of verbs have in common.

pub(super) use minijinja::Value;

pub(super) use super::running::{Act, Running};
pub(super) use crate::{
    engine::{
        device::Changed,
        failure::{End, Problem},
        words::amount,
    },
    language::{Duration, Size, verb::*},
    model::{Errno, code::Code},
    uapi::iommufd,
};
