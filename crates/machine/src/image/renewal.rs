//! Images for the agent of this program: one that was built by another version of Hearth gets
//! its agent replaced, without being built again.

use std::fs;

use super::error::ImageError;
use super::hash;
use super::initrd;
use super::manifest::{Content, Files, Manifest};
use super::scratch::lock_file;
use super::store::{INITRD, Image, ImageStore, KERNEL, MANIFEST, ROOT};
use super::verify::{Depth, MEMO};

impl ImageStore {
    /// The image that a machine is to boot, verified, with this agent inside.
    ///
    /// A name whose image has another agent means an image with this one afterwards, which shares
    /// kernel and root with the other. An id means exactly that image, whatever its agent.
    ///
    /// # Errors
    /// As [`ImageStore::get`] and [`ImageStore::verify`], and when the image can't be renewed.
    pub fn ready(&self, name_or_id: &str, agent: &[u8]) -> Result<Image, ImageError> {
        // Whoever looks at images here shares the lock; who replaces one has it alone.
        let path = self.lock_path();
        let lock = lock_file(&path).map_err(ImageError::io("opening", &path))?;
        lock.lock_shared().map_err(ImageError::io("locking", &path))?;
        let (image, renewed) = self.look(name_or_id, agent)?;
        if renewed.is_none() {
            return Ok(image);
        }
        lock.unlock().and_then(|()| lock.lock()).map_err(ImageError::io("locking", &path))?;
        // Another process may have been quicker.
        match self.look(name_or_id, agent)? {
            (image, Some(initrd)) => self.renew(&image, &initrd),
            (image, None) => Ok(image),
        }
    }

    /// The verified image, and the initial RAM disk that it lacks.
    fn look(&self, name_or_id: &str, agent: &[u8]) -> Result<(Image, Option<Vec<u8>>), ImageError> {
        let image = self.get(name_or_id)?;
        self.verify(&image, Depth::Memo)?;
        if image.id.as_str().starts_with(name_or_id) {
            return Ok((image, None));
        }
        let path = image.initrd();
        let initrd = fs::read(&path).map_err(ImageError::io("reading", &path))?;
        let renewed = initrd::with_agent(&initrd, agent).filter(|renewed| *renewed != initrd);
        Ok((image, renewed))
    }

    fn renew(&self, old: &Image, initrd: &[u8]) -> Result<Image, ImageError> {
        let place = self.scratch()?;
        for (name, from) in [(KERNEL, old.kernel()), (ROOT, old.root())] {
            fs::hard_link(&from, place.path().join(name)).map_err(ImageError::io("linking", &from))?;
        }
        // The root is the same file: what is known of it stays known.
        let _ = fs::hard_link(old.folder.join(MEMO), place.path().join(MEMO));
        let write = |name: &str, content: &[u8]| {
            let path = place.path().join(name);
            fs::write(&path, content).map_err(ImageError::io("writing", &path))?;
            hash::of_file(&path)
        };
        let files = Files { initrd: write(INITRD, initrd)?, ..old.manifest.files.clone() };
        let init = old.manifest.init().map(str::to_owned);
        let Manifest { kernel_version, root_kind, suite, packages, made_unix_ms, .. } = old.manifest.clone();
        let manifest =
            Manifest::new(Content { kernel_version, files, root_kind, suite, packages, init }, made_unix_ms);
        write(MANIFEST, &manifest.to_json())?;
        let image = Image { id: manifest.id.clone(), manifest, folder: place.path().to_owned() };
        let image = self.keep(image)?;
        for name in self.names_of(&old.id)? {
            self.name(&name, &image.id)?;
        }
        // Machines of this agent have no use for it; only a snapshot may.
        match self.remove(old.id.as_str()) {
            Ok(_) | Err(ImageError::InUse { .. } | ImageError::NotFound { .. }) => Ok(image),
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::store::tests::{made_with, store};
    use super::*;

    fn image_with(store: &ImageStore, agent: &[u8]) -> Image {
        let initrd = initrd::write(Vec::new(), &[], agent).unwrap();
        let image = store.put(&made_with(store, b"root", &initrd, 1)).unwrap();
        store.name("default", &image.id).unwrap();
        store.name("other", &image.id).unwrap();
        image
    }

    #[test]
    fn many_who_renew_an_image_at_once_all_get_the_same() {
        let (_data, store) = store();
        let old = image_with(&store, b"old agent");
        let ready = || store.ready("default", b"new agent").map(|image| image.id);
        let ids = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(ready)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap().unwrap()).collect::<Vec<_>>()
        });
        assert!(ids.iter().all(|id| *id == ids[0] && *id != old.id), "{ids:?}");
    }

    #[test]
    fn a_name_leads_to_an_image_with_the_agent_of_this_program() {
        let (_data, store) = store();
        let old = image_with(&store, b"old agent");
        assert_eq!(store.ready("default", b"old agent").unwrap().id, old.id);
        let new = store.ready("default", b"new agent").unwrap();
        assert_ne!(new.id, old.id);
        store.verify(&new, Depth::Full).unwrap();
        let initrd = fs::read(new.initrd()).unwrap();
        assert_eq!(initrd, initrd::write(Vec::new(), &[], b"new agent").unwrap());
        assert_eq!(new.manifest.files.root, old.manifest.files.root);
        assert!(new.folder.join(MEMO).exists(), "the root would be read again");
        // Every name of the old image has moved, and it is gone.
        assert_eq!(store.get("other").unwrap().id, new.id);
        assert_eq!(store.list().unwrap().len(), 1);
        assert_eq!(store.ready("default", b"new agent").unwrap().id, new.id);
    }

    #[test]
    fn an_image_that_a_snapshot_needs_is_renewed_beside_itself_and_its_id_means_itself() {
        let (data, store) = store();
        let old = image_with(&store, b"old agent");
        let snapshot = data.path().join("snapshots/warm");
        fs::create_dir_all(&snapshot).unwrap();
        fs::write(snapshot.join(MANIFEST), format!("{{\"image\": \"{}\"}}", old.id)).unwrap();
        let new = store.ready("default", b"new agent").unwrap();
        assert_ne!(new.id, old.id);
        assert_eq!(store.ready(old.id.as_str(), b"new agent").unwrap().id, old.id);
        assert_eq!(store.ready(old.id.short(), b"new agent").unwrap().id, old.id);
    }

    #[test]
    fn of_many_that_renew_at_once_all_get_the_same_image() {
        let (_data, store) = store();
        image_with(&store, b"old agent");
        let ids: Vec<_> = std::thread::scope(|scope| {
            let ready = || store.ready("default", b"new agent").unwrap().id;
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(ready)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
        assert_eq!(store.list().unwrap().len(), 1);
    }

    #[test]
    fn a_damaged_image_is_not_made_ready() {
        let (_data, store) = store();
        let old = image_with(&store, b"old agent");
        fs::write(old.initrd(), b"x").unwrap();
        let error = store.ready("default", b"new agent").unwrap_err();
        assert!(matches!(error, ImageError::Damaged { .. }), "{error}");
    }
}
