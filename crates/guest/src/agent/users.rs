//! Users and groups, from `/etc/passwd` and `/etc/group`.
//!
//! Read by ourselves first: a static program has no name service of the system to ask. Where
//! there is one, it is asked for those who are not in the files.

use std::fs;

/// One user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct User {
    pub(super) name: String,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) home: String,
}

/// The user of this name.
pub(super) fn by_name(name: &str) -> Option<User> {
    find(&read("/etc/passwd"), |user| user.name == name).or_else(|| service::by_name(name))
}

/// The user of this id.
pub(super) fn by_uid(uid: u32) -> Option<User> {
    find(&read("/etc/passwd"), |user| user.uid == uid).or_else(|| service::by_uid(uid))
}

/// Ids of all groups of a user, that of the user first.
pub(super) fn groups(user: &User) -> Vec<u32> {
    service::groups(user).unwrap_or_else(|| listed_groups(&read("/etc/group"), user))
}

fn read(path: &str) -> String {
    String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned()
}

fn find(passwd: &str, wanted: impl Fn(&User) -> bool) -> Option<User> {
    passwd.lines().filter_map(parse).find(wanted)
}

fn parse(line: &str) -> Option<User> {
    let mut fields = line.split(':');
    let name = fields.next()?.to_owned();
    let uid = fields.nth(1)?.parse().ok()?;
    let gid = fields.next()?.parse().ok()?;
    let home = fields.nth(1)?.to_owned();
    Some(User { name, uid, gid, home })
}

fn listed_groups(group: &str, user: &User) -> Vec<u32> {
    let listed = group.lines().filter_map(|line| {
        let mut fields = line.split(':');
        let gid = fields.nth(2)?.parse().ok()?;
        let member = fields.next()?.split(',').any(|name| name == user.name);
        (member && gid != user.gid).then_some(gid)
    });
    std::iter::once(user.gid).chain(listed).collect()
}

#[cfg(not(target_feature = "crt-static"))]
mod service {
    use std::ffi::CString;

    use nix::unistd::{Gid, Uid, getgrouplist};

    use super::User;

    pub(super) fn by_name(name: &str) -> Option<User> {
        nix::unistd::User::from_name(name).ok().flatten().map(from_service)
    }

    pub(super) fn by_uid(uid: u32) -> Option<User> {
        nix::unistd::User::from_uid(Uid::from_raw(uid)).ok().flatten().map(from_service)
    }

    pub(super) fn groups(user: &User) -> Option<Vec<u32>> {
        let name = CString::new(user.name.as_str()).ok()?;
        let groups = getgrouplist(&name, Gid::from_raw(user.gid)).ok()?;
        Some(groups.into_iter().map(Gid::as_raw).collect())
    }

    fn from_service(user: nix::unistd::User) -> User {
        let home = user.dir.to_string_lossy().into_owned();
        User { name: user.name, uid: user.uid.as_raw(), gid: user.gid.as_raw(), home }
    }
}

#[cfg(target_feature = "crt-static")]
mod service {
    use super::User;

    pub(super) fn by_name(_: &str) -> Option<User> {
        None
    }

    pub(super) fn by_uid(_: u32) -> Option<User> {
        None
    }

    pub(super) fn groups(_: &User) -> Option<Vec<u32>> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/bash\nbroken\nrunner:x:1001:127::/home/runner:/bin/sh\n";
    const GROUP: &str = "root:x:0:\ndocker:x:123:runner,other\nadm:x:4:other\nrunner:x:127:runner\n";

    #[test]
    fn a_user_is_found_by_name_and_by_id() {
        let runner = find(PASSWD, |user| user.name == "runner").unwrap();
        assert_eq!((runner.uid, runner.gid, runner.home.as_str()), (1001, 127, "/home/runner"));
        assert_eq!(find(PASSWD, |user| user.uid == 1001), Some(runner));
        assert_eq!(find(PASSWD, |user| user.name == "broken"), None);
    }

    #[test]
    fn a_user_has_its_own_group_first_and_each_once() {
        let runner = find(PASSWD, |user| user.name == "runner").unwrap();
        assert_eq!(listed_groups(GROUP, &runner), [127, 123]);
    }
}
