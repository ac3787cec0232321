//! A folder under every kind of trouble.

use super::*;
use proptest::prelude::*;

fn key(name: &str) -> KvKey {
    KvKey { primary: "a".into(), secondary: String::new(), name: name.into() }
}

fn copy_key() -> CopyKey {
    CopyKey::new(&[1; 32])
}

fn begin(folder: &Folder, epoch: u64, run: u8, seq: u64) -> Result<Writer, FolderError> {
    let state = [(key("x"), b"0".to_vec()), (key("y"), b"0".to_vec())];
    let files = [("log".to_owned(), vec![7; PART_BYTES + 5]), ("none".to_owned(), Vec::new())];
    Writer::begin(
        folder,
        Whole {
            epoch,
            run: [run; 16],
            policy: Policy::Strict,
            now_ms: 5,
            about: b"about".to_vec(),
            seq,
            state: &state,
            files: &files,
        },
    )
}

fn moment(seq: u64) -> Record {
    let value = seq.to_string().into_bytes();
    Record::Moment { seq, writes: vec![(key("x"), Some(value)), (key("y"), None)] }
}

fn segment(folder: &Folder) -> PathBuf {
    let (_, name) = folder.segments().unwrap().pop().unwrap();
    folder.path().join(name)
}

#[test]
fn gives_back_the_newest_state_and_all_beside_it() {
    let place = tempfile::tempdir().unwrap();
    let folder = Folder::make(place.path(), &copy_key()).unwrap();
    assert!(matches!(folder.read(), Err(FolderError::Empty(_))));
    let mut writer = begin(&folder, 1, 1, 10).unwrap();
    writer.append(&[moment(11), Record::Beside(b"more".to_vec())]).unwrap();
    writer.append(&[moment(12)]).unwrap();
    let found = Folder::find(place.path(), &copy_key()).unwrap().read().unwrap();
    assert_eq!((found.seq, found.torn_bytes, found.in_place), (12, 0, true));
    assert_eq!(found.state, BTreeMap::from([(key("x"), b"12".to_vec())]));
    assert_eq!(found.files["log"].len(), PART_BYTES + 5);
    assert!(found.files["none"].is_empty());
    assert_eq!(found.beside, [b"more"]);
    assert_eq!((found.begin.about.as_slice(), found.owner.epoch), (&b"about"[..], 1));
    begin(&folder, 1, 1, 20).unwrap();
    assert_eq!(folder.segments().unwrap().len(), 1, "the older one is removed");
    let itself = Folder::find(folder.path(), &copy_key()).unwrap();
    assert_eq!(itself.read().unwrap().seq, 20);
}

#[test]
fn an_older_run_stops_when_another_one_took_over() {
    let place = tempfile::tempdir().unwrap();
    let folder = Folder::make(place.path(), &copy_key()).unwrap();
    let mut old = begin(&folder, 1, 1, 10).unwrap();
    old.append(&[moment(11)]).unwrap();
    let mut new = begin(&folder, 2, 2, 11).unwrap();
    let fenced = |done: Result<(), FolderError>| {
        assert!(matches!(done, Err(FolderError::Fenced { ours: 1, theirs: 2 })), "{done:?}");
    };
    fenced(old.append(&[moment(12)]));
    fenced(begin(&folder, 1, 1, 12).map(drop));
    new.append(&[moment(12)]).unwrap();
    let same_epoch = begin(&folder, 2, 3, 12).map(drop);
    assert!(matches!(same_epoch, Err(FolderError::Fenced { ours: 2, theirs: 2 })));
    assert_eq!(folder.read().unwrap().seq, 12);
}

#[test]
fn a_folder_that_went_away_takes_nothing() {
    let place = tempfile::tempdir().unwrap();
    let folder = Folder::make(place.path(), &copy_key()).unwrap();
    let mut writer = begin(&folder, 1, 1, 10).unwrap();
    fs::remove_dir_all(folder.path()).unwrap();
    assert!(matches!(writer.append(&[moment(11)]), Err(FolderError::Gone(_))));
    assert!(matches!(begin(&folder, 1, 1, 11), Err(FolderError::Gone(_))));
    assert!(matches!(Folder::find(place.path(), &copy_key()), Err(FolderError::Empty(_))));
    let nowhere = place.path().join("unplugged");
    assert!(matches!(Folder::make(&nowhere, &copy_key()), Err(FolderError::Gone(_))));
}

#[test]
fn a_copy_of_the_folder_is_told_from_it() {
    let place = tempfile::tempdir().unwrap();
    let folder = Folder::make(place.path(), &copy_key()).unwrap();
    begin(&folder, 1, 1, 10).unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(folder.path()).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), elsewhere.path().join(entry.file_name())).unwrap();
    }
    let copy = Folder::find(elsewhere.path(), &copy_key()).unwrap().read().unwrap();
    assert!(!copy.in_place);
}

#[test]
fn a_missing_file_is_named() {
    let place = tempfile::tempdir().unwrap();
    let folder = Folder::make(place.path(), &copy_key()).unwrap();
    begin(&folder, 4, 1, 10).unwrap();
    let owner = fs::read(folder.path().join(OWNER)).unwrap();
    fs::remove_file(segment(&folder)).unwrap();
    let Err(FolderError::Missing { file }) = folder.read() else { panic!("it is missing") };
    assert_eq!(file, "segment-0000000004-0000000001");
    begin(&folder, 5, 1, 10).unwrap();
    fs::remove_file(folder.path().join(OWNER)).unwrap();
    let Err(FolderError::Missing { file }) = folder.read() else { panic!("it is missing") };
    assert_eq!(file, OWNER);
    fs::write(folder.path().join(OWNER), &owner).unwrap();
    assert_eq!(folder.read().unwrap().owner.epoch, 4, "a crash before the owner was written");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Wherever the end of the file is lost, what is left is a moment that was; and a changed bit
    /// is refused with the file's name.
    #[test]
    fn an_end_may_be_missing_and_nothing_may_change(cut: prop::sample::Index, bit in 0_u8..8) {
        let place = tempfile::tempdir().unwrap();
        let folder = Folder::make(place.path(), &copy_key()).unwrap();
        let mut writer = begin(&folder, 1, 1, 10).unwrap();
        let (_, whole) = writer.bytes();
        for seq in 11..15 {
            writer.append(&[moment(seq)]).unwrap();
        }
        let path = segment(&folder);
        let bytes = fs::read(&path).unwrap();
        let at = cut.index(bytes.len() - whole as usize) + whole as usize;
        fs::write(&path, &bytes[..at]).unwrap();
        let found = folder.read().unwrap();
        prop_assert!((10..15).contains(&found.seq));
        if found.seq > 10 {
            let expected = found.seq.to_string().into_bytes();
            prop_assert_eq!(&found.state[&key("x")], &expected);
        }
        let mut changed = bytes.clone();
        let at = cut.index(bytes.len());
        changed[at] ^= 1 << bit;
        fs::write(&path, &changed).unwrap();
        match folder.read() {
            Err(FolderError::Damaged { file, .. }) => prop_assert!(file.starts_with(SEGMENT)),
            other => prop_assert!(false, "{other:?}"),
        }
        fs::write(&path, &bytes[..cut.index(whole as usize)]).unwrap();
        prop_assert!(folder.read().is_err(), "without its whole state it is none");
    }
}
