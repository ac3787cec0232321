//! Snapshots: the same directory gives the same archive; hostile archives reach nothing.

use super::*;
use flate2::{Compression, write::GzEncoder};
use proptest::prelude::*;
use std::{fs, io::Write, path::Path};

fn put(root: &Path, path: &str, contents: &[u8]) {
    let place = root.join(path);
    fs::create_dir_all(place.parent().unwrap()).unwrap();
    fs::write(place, contents).unwrap();
}

fn sample() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    put(dir.path(), "src/main.rs", b"fn main() {}\n");
    put(dir.path(), ".hidden/file", b"kept");
    put(dir.path(), ".git/config", b"not kept");
    put(dir.path(), ".gitignore", b"target/\n*.log\n");
    put(dir.path(), "target/big", b"not kept");
    put(dir.path(), "a.log", b"not kept");
    put(dir.path(), &format!("{}/deep.txt", ["long-directory-name"; 8].join("/")), b"deep");
    dir
}

fn paths(manifest: &Manifest) -> Vec<&str> {
    manifest.entries.iter().map(|entry| entry.path.as_str()).collect()
}

#[test]
fn walks_as_git_would_and_packs_the_same_bytes_again() {
    let (one, two) = (sample(), sample());
    let first = pack(one.path(), &SnapshotLimits::default()).unwrap();
    let second = pack(two.path(), &SnapshotLimits::default()).unwrap();
    assert_eq!((first.sha256, first.manifest.root()), (second.sha256, second.manifest.root()));
    let deep = format!("{}/deep.txt", ["long-directory-name"; 8].join("/"));
    assert_eq!(paths(&first.manifest), [".gitignore", ".hidden/file", &deep, "src/main.rs"]);
    assert!(first.skipped.is_empty());
}

#[cfg(unix)]
#[test]
fn unpacks_what_was_packed_with_modes_and_links_and_leaves_out_links_that_lead_out() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let dir = sample();
    fs::set_permissions(dir.path().join("src/main.rs"), fs::Permissions::from_mode(0o755)).unwrap();
    symlink("../src/main.rs", dir.path().join(".hidden/inside")).unwrap();
    symlink("/etc/passwd", dir.path().join("absolute")).unwrap();
    symlink("../../x", dir.path().join("src/above")).unwrap();
    let packed = pack(dir.path(), &SnapshotLimits::default()).unwrap();
    assert_eq!(packed.skipped.len(), 2, "{:?}", packed.skipped);
    let target = tempfile::tempdir().unwrap();
    let manifest = unpack(&packed.archive, target.path(), &SnapshotLimits::default()).unwrap();
    assert_eq!(manifest, packed.manifest);
    let again = pack(target.path(), &SnapshotLimits::default()).unwrap();
    assert_eq!(again.sha256, packed.sha256);
    let mut seen = Vec::new();
    let limits = SnapshotLimits::default();
    let scanned = scan(&packed.archive, &limits, |path, _| seen.push(path.to_owned())).unwrap();
    assert_eq!((scanned, seen.len()), (manifest, 4));
}

#[test]
fn refuses_to_pack_beyond_its_limits() {
    let dir = sample();
    let base = SnapshotLimits::default();
    for limits in [
        SnapshotLimits { entries: 3, ..base },
        SnapshotLimits { total_bytes: 10, ..base },
        SnapshotLimits { file_bytes: 5, ..base },
        SnapshotLimits { archive_bytes: 20, ..base },
    ] {
        assert!(matches!(pack(dir.path(), &limits), Err(PackError::TooLarge { .. })));
    }
}

/// One entry as a hostile packer would write it, name unchecked.
fn raw_entry(kind: tar::EntryType, path: &str, link: &str, size: u64, body: &[u8]) -> Vec<u8> {
    let mut header = tar::Header::new_gnu();
    header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
    header.as_old_mut().linkname[..link.len()].copy_from_slice(link.as_bytes());
    header.set_entry_type(kind);
    header.set_mode(0o4777);
    header.set_size(size);
    header.set_cksum();
    let mut bytes = header.as_bytes().to_vec();
    bytes.extend(body);
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    bytes
}

fn gzip(tar: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(tar).unwrap();
    encoder.finish().unwrap()
}

fn try_unpack(entries: &[Vec<u8>]) -> Result<Manifest, UnpackError> {
    let target = tempfile::tempdir().unwrap();
    let box_ = target.path().join("box");
    fs::create_dir(&box_).unwrap();
    let mut tar = entries.concat();
    tar.resize(tar.len() + 1_024, 0);
    let result = unpack(&gzip(&tar), &box_, &SnapshotLimits::default());
    let beside = fs::read_dir(target.path()).unwrap().count();
    assert_eq!(beside, 1, "something was written outside");
    result
}

#[test]
fn refuses_paths_links_and_kinds_that_reach_out() {
    use tar::EntryType as T;
    let file = |path: &str| raw_entry(T::Regular, path, "", 1, b"x");
    let link = |path: &str, to: &str| raw_entry(T::Symlink, path, to, 0, b"");
    for path in ["../x", "/x", "a/../../x", "a//x", "./x", "", "a/", "a\\b", "a/..", "x\n"] {
        assert!(matches!(try_unpack(&[file(path)]), Err(UnpackError::BadPath { .. })), "{path:?}");
    }
    for to in ["/etc/passwd", "../x", "a/../../x", "b/..", "", ".", "./x", "a/../b"] {
        assert!(matches!(try_unpack(&[link("l", to)]), Err(UnpackError::BadLink { .. })), "{to:?}");
    }
    assert!(matches!(try_unpack(&[link("d/l", "../../x")]), Err(UnpackError::BadLink { .. })));
    for kind in [T::Link, T::Char, T::Block, T::Fifo, T::XGlobalHeader, T::XHeader, T::GNUSparse] {
        let result = try_unpack(&[raw_entry(kind, "x", "y", 0, b"")]);
        assert!(matches!(result, Err(UnpackError::BadKind { .. })), "{kind:?} {result:?}");
    }
    for pair in [
        [file("x"), file("x")],
        [link("x", "y"), file("x")],
        [link("x", "y"), file("x/z")],
        [file("x"), file("x/z")],
        [file("x/z"), file("x")],
    ] {
        assert!(matches!(try_unpack(&pair), Err(UnpackError::Collision { .. })));
    }
    assert!(try_unpack(&[link("d/l", "../y"), file("y"), link("e/f/g", "../..")]).is_ok());
}

#[test]
fn refuses_bombs_and_lies_about_size() {
    let limits = SnapshotLimits { file_bytes: 1 << 20, total_bytes: 2 << 20, ..Default::default() };
    let target = tempfile::tempdir().unwrap();
    let refuse = |tar: Vec<u8>| unpack(&gzip(&tar), target.path(), &limits).unwrap_err();
    let zeros = vec![0; 900 << 10];
    let one = |path: &str| raw_entry(tar::EntryType::Regular, path, "", 900 << 10, &zeros);
    let huge = raw_entry(tar::EntryType::Regular, "a", "", 1 << 40, b"");
    assert!(matches!(refuse(huge), UnpackError::TooLarge { .. }));
    let many = [one("a"), one("b"), one("c")].concat();
    assert!(matches!(refuse(many), UnpackError::TooLarge { .. }));
    let short = raw_entry(tar::EntryType::Regular, "z", "", 1 << 19, b"short");
    assert!(matches!(refuse(short), UnpackError::Damaged(_)));
    let name = raw_entry(tar::EntryType::GNULongName, "n", "", 1 << 19, &vec![b'a'; 1 << 19]);
    assert!(matches!(refuse(name), UnpackError::Damaged(_)));
    let few = SnapshotLimits { entries: 2, ..limits };
    let entries: Vec<u8> =
        ["a", "b", "c"].map(|p| raw_entry(tar::EntryType::Regular, p, "", 0, b"")).concat();
    let other = tempfile::tempdir().unwrap();
    let result = unpack(&gzip(&entries), other.path(), &few);
    assert!(matches!(result, Err(UnpackError::TooLarge { what: "entries", .. })));
}

#[test]
fn directories_count_as_entries_also_where_no_entry_names_them() {
    let limits = SnapshotLimits { entries: 100, ..Default::default() };
    let deep = |n: usize| format!("{n}/{}f", "d/".repeat(40));
    let entries = (0..5).map(|n| raw_entry(tar::EntryType::Regular, &deep(n), "", 0, b""));
    let bomb = gzip(&entries.collect::<Vec<_>>().concat());
    let target = tempfile::tempdir().unwrap();
    for result in [unpack(&bomb, target.path(), &limits), scan(&bomb, &limits, |_, _| {})] {
        assert!(matches!(result, Err(UnpackError::TooLarge { what: "entries", .. })), "{result:?}");
    }
    let dir = tempfile::tempdir().unwrap();
    (0..5).for_each(|n| put(dir.path(), &deep(n), b""));
    let refused = pack(dir.path(), &limits);
    assert!(matches!(refused, Err(PackError::TooLarge { .. })), "what nobody would unpack");
    let enough = SnapshotLimits { entries: 5 * 42, ..limits };
    let packed = pack(dir.path(), &enough).unwrap();
    let other = tempfile::tempdir().unwrap();
    assert_eq!(unpack(&packed.archive, other.path(), &enough).unwrap(), packed.manifest);
}

proptest! {
    #[test]
    fn any_bytes_are_refused_or_unpacked_but_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..2_000)) {
        let target = tempfile::tempdir().unwrap();
        let _ = unpack(&bytes, target.path(), &SnapshotLimits::default());
        let _ = unpack(&gzip(&bytes), target.path(), &SnapshotLimits::default());
    }

    #[test]
    fn a_damaged_archive_never_panics_nor_escapes(at in 0_usize..4_000, to in any::<u8>()) {
        let dir = sample();
        let packed = pack(dir.path(), &SnapshotLimits::default()).unwrap();
        let mut tar = Vec::new();
        std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(&*packed.archive), &mut tar).unwrap();
        let at = at % tar.len();
        tar[at] = to;
        let outer = tempfile::tempdir().unwrap();
        let target = outer.path().join("box");
        fs::create_dir(&target).unwrap();
        let _ = unpack(&gzip(&tar), &target, &SnapshotLimits::default());
        prop_assert_eq!(fs::read_dir(outer.path()).unwrap().count(), 1);
    }

    #[test]
    fn no_accepted_link_resolves_outside(path in "[a-c](/[a-c]){0,3}", target in "(\\.\\./|[a-c]/|\\./|/){0,5}[a-c.]{0,2}") {
        if is_plain_path(&path) && link_stays_inside(&path, &target) {
            let mut depth = path.split('/').count() as i32 - 1;
            for step in target.split('/') {
                depth += match step { ".." => -1, "." | "" => 0, _ => 1 };
                prop_assert!(depth >= 0);
            }
            prop_assert!(!target.starts_with('/'));
        }
    }

    #[test]
    fn what_is_packed_comes_back(files in prop::collection::btree_map("([a-z]{4,5}/){0,2}[a-z]{1,3}", prop::collection::vec(any::<u8>(), 0..50), 0..8)) {
        let dir = tempfile::tempdir().unwrap();
        for (path, contents) in &files {
            put(dir.path(), path, contents);
        }
        let packed = pack(dir.path(), &SnapshotLimits::default()).unwrap();
        let target = tempfile::tempdir().unwrap();
        let manifest = unpack(&packed.archive, target.path(), &SnapshotLimits::default()).unwrap();
        prop_assert_eq!(&manifest, &packed.manifest);
        for (path, contents) in &files {
            prop_assert_eq!(&fs::read(target.path().join(path)).unwrap(), contents);
        }
    }
}
