// SPDX-License-Identifier: MIT OR Apache-2.0
//! The shortest calls with which a failure is still there.

use super::call::Call;
use crate::engine::failure::End;

/// Leaves out and makes plainer what can be without the failure going away. `fails` says after how many of the calls it is there.
pub fn shorten(calls: &mut Vec<Call>, mut fails: impl FnMut(&[Call]) -> Result<Option<usize>, End>) -> Result<(), End> {
    let mut attempt = |calls: &mut Vec<Call>, mut fewer: Vec<Call>| {
        let length = fails(&fewer)?;
        Ok(length.map(|length| {
            fewer.truncate(length);
            *calls = fewer;
        }))
    };
    // Most failures need no more than the last few calls, and those are quickly made.
    let mut last = 1;
    while last < calls.len() {
        let few = calls[calls.len() - last..].to_vec();
        let own = few.iter().map(|call| call.on_own()).collect();
        if attempt(calls, few)?.is_some() || attempt(calls, own)?.is_some() {
            break;
        }
        last *= 2;
    }
    loop {
        let mut part = calls.len().div_ceil(2);
        while part > 0 {
            let (mut at, mut is_shorter) = (0, false);
            while at < calls.len() && calls.len() > 1 {
                let fewer = calls[..at].iter().chain(calls.iter().skip(at + part)).copied().collect();
                match attempt(calls, fewer)? {
                    Some(()) => is_shorter = true,
                    None => at += part,
                }
            }
            if part > 1 || !is_shorter {
                part /= 2;
            }
        }
        // Where one address space does, neither the other one nor what leads there is needed.
        let own: Vec<Call> = calls.iter().map(|call| call.on_own()).collect();
        let mut is_plainer = own != *calls && attempt(calls, own)?.is_some();
        let mut index = 0;
        while let Some(call) = calls.get(index) {
            let mut is_plain = true;
            for plainer in call.plainer() {
                let mut others = calls.clone();
                others[index] = plainer;
                if attempt(calls, others)?.is_some() {
                    (is_plain, is_plainer) = (false, true);
                    break;
                }
            }
            index += usize::from(is_plain);
        }
        // A plainer call may do without another one.
        if !is_plainer {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{call::Target, ground::Place};
    use super::*;
    use crate::backend::Access;

    fn map(page: u64) -> Call {
        Call::Map {
            region: 1,
            offset: 4096,
            iova: page << 12,
            size: 4096,
            access: Access::READ,
            place: Place::Own,
            file: false,
            fails: 1,
        }
    }

    #[test]
    fn what_is_not_needed_for_a_failure_is_left_out_and_the_rest_is_plain() {
        let mut calls: Vec<Call> = (0..100).map(map).collect();
        let unmap_all = Call::UnmapAll { place: Place::Own };
        calls[71] = unmap_all;
        let mut runs = 0;
        // It takes three calls in this order, the first of them for reading only.
        let mut fails = |calls: &[Call]| {
            runs += 1;
            let at = |wanted: &dyn Fn(&Call) -> bool, from: usize| {
                calls.iter().skip(from).position(wanted).map(|at| from + at)
            };
            let is_page = |page: u64, call: &Call| matches!(call, Call::Map { iova, .. } if *iova == page << 12);
            let first = at(&|call| is_page(17, call) && matches!(call, Call::Map { access: Access::READ, .. }), 0);
            let second = first.and_then(|first| at(&|call| is_page(40, call), first));
            Ok(second.and_then(|second| at(&|call| *call == unmap_all, second)).map(|last| last + 1))
        };
        shorten(&mut calls, &mut fails).unwrap();
        let plain = |page: u64, access| Call::Map {
            region: 0,
            offset: 0,
            iova: page << 12,
            size: 4096,
            access,
            place: Place::Own,
            file: false,
            fails: 0,
        };
        assert_eq!(calls, [plain(17, Access::READ), plain(40, Access::READ_WRITE), unmap_all]);
        assert!(runs < 100, "{runs}");
    }

    #[test]
    fn what_fails_in_the_devices_own_address_space_needs_no_other_one() {
        let Call::Map { region, offset, iova, size, access, file, fails, .. } = map(17) else { unreachable!() };
        let elsewhere = Call::Map { region, offset, iova, size, access, place: Place::Other, file, fails };
        let attach = Call::Attach { to: Target::Space(Place::Other), short: false };
        let mut calls = vec![Call::Detach, elsewhere, Call::UnmapAll { place: Place::Own }, attach];
        // In the device's own address space the map fails; in the other one, attaching the device fails.
        let fails = |calls: &[Call]| {
            let is_in = |place: Place, call: &Call| matches!(call, Call::Map { place: at, .. } if *at == place);
            let waits = calls.iter().position(|call| is_in(Place::Other, call));
            let comes = calls.iter().position(|call| *call == attach);
            let by_itself = calls.iter().position(|call| is_in(Place::Own, call));
            Ok(by_itself.or(comes.filter(|comes| waits.is_some_and(|waits| waits < *comes))).map(|last| last + 1))
        };
        shorten(&mut calls, fails).unwrap();
        assert!(matches!(calls.as_slice(), [Call::Map { place: Place::Own, .. }]), "{calls:?}");
    }
}
