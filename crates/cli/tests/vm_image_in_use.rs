//! The image of a machine that runs, where `HEARTH_VM_DATA` names a data folder with an image.

mod vm_place;

use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};

use vm_place::Place;

const SECRET: &str = "a secret of thirty-two bytes and more";

/// A server of machines in QEMU, killed at the end of the test.
struct Server<'a> {
    place: &'a Place,
    child: Child,
    address: String,
    token: String,
}

impl Server<'_> {
    fn start(place: &Place) -> Server<'_> {
        let mut serving =
            place.command(&["serve", "machines", "--listen", "127.0.0.1:0", "--machine", "qemu"]);
        let serving = serving.env("HEARTH_JWT_SECRET", SECRET).stdout(Stdio::piped()).spawn();
        let mut child = serving.expect("the binary runs");
        let mut address = String::new();
        let stdout = child.stdout.take().expect("it is piped");
        BufReader::new(stdout).read_line(&mut address).expect("a first line");
        let mut minting = place.command(&["vm", "token", "--subject", "ann"]);
        let token = minting.env("HEARTH_JWT_SECRET", SECRET).output().expect("the binary runs").stdout;
        let token = String::from_utf8(token).expect("text").trim().to_owned();
        Server { place, child, address: address.trim().to_owned(), token }
    }

    fn vm(&self, words: &[&str]) -> (Option<i32>, String) {
        let mut command = self.place.command(&[&["vm"], words].concat());
        command.env("HEARTH_API", &self.address).env("HEARTH_TOKEN", &self.token);
        let output = command.output().expect("the binary runs");
        let said = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(said).expect("text").trim().to_owned())
    }
}

impl Drop for Server<'_> {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_machine_keeps_its_image_and_goes_on_where_that_is_gone_all_the_same() {
    let Some(place) = Place::new("") else { return };
    let server = Server::start(&place);
    let (code, id) = server.vm(&["start"]);
    assert_eq!(code, Some(0), "{id}");

    let (code, said) = place.hearth(&["image", "rm", "default"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains(&format!("in use by machine {id}")), "{said}");
    let (code, said) = server.vm(&["snapshot", &id]);
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(server.vm(&["exec", &id, "--", "echo", "alive"]), (Some(0), "alive".to_owned()));

    let images = place.path("data/images");
    std::fs::rename(&images, place.path("data/away")).expect("images");
    let (code, said) = server.vm(&["snapshot", &id]);
    assert_ne!(code, Some(0), "{said}");
    assert!(said.contains("looking for its image"), "{said}");
    assert_eq!(server.vm(&["exec", &id, "--", "echo", "alive"]), (Some(0), "alive".to_owned()));

    assert_eq!(server.vm(&["rm", &id]).0, Some(0));
    std::fs::remove_dir_all(&images).expect("the store has made it again");
    std::fs::rename(place.path("data/away"), &images).expect("images");
    let (code, said) = place.hearth(&["image", "rm", "default"]);
    assert_eq!(code, Some(0), "{said}");
}
