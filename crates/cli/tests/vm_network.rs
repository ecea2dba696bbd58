//! What jobs in virtual machines may reach, in QEMU, where `HEARTH_VM_DATA` names a data folder with an image.

mod vm_place;

use std::fs;

use serde_json::{Value as Json, json};
use vm_place::Place;

const WORKFLOW: &str = r#"
name: Release
on: push
jobs:
  publish:
    runs-on: ubuntu-latest
    steps:
    - run: |
        ! getent hosts evil.example
        ! bash -c 'exec 3<>/dev/tcp/169.254.169.254/80'
"#;

const CONFIGURATION: &str = "allow-hosts: ['*']\nallow-hosts-of:\n- {workflow: other.yml, hosts: [other.example]}\n\
                             - {workflow: Release, job: publish, hosts: [good.example]}\n";

#[test]
fn the_list_of_its_workflow_holds_for_a_job_and_what_it_tried_is_told_and_written_down() {
    let Some(place) = Place::new(WORKFLOW) else { return };
    fs::create_dir_all(place.path("config/hearth")).unwrap();
    fs::write(place.path("config/hearth/hearth.yaml"), CONFIGURATION).unwrap();
    let (code, said) = place.hearth(&["run", "--machine", "qemu", "--memory", "512", "--format", "json"]);
    assert_eq!(code, Some(0), "{said}");
    let lines = said.lines().filter_map(|line| serde_json::from_str::<Json>(line).ok());
    let told: Vec<Json> = lines.filter_map(|line| line.pointer("/event/contacted").cloned()).collect();
    let name = told
        .iter()
        .find(|told| told["contact"]["name"] == "evil.example")
        .unwrap_or_else(|| panic!("{said}"));
    assert_eq!(name["contact"]["refused"], "not on the list of what is allowed");
    let metadata = json!({
        "contact": {
            "protocol": "tcp", "name": null, "address": "169.254.169.254", "port": 80,
            "refused": "closed: the link, and a cloud's metadata"
        },
        "times": 1
    });
    assert!(told.contains(&metadata), "{told:#?}");
    let run = fs::read_dir(place.path("data/runs")).unwrap().next().unwrap().unwrap().path();
    let written = fs::read_to_string(run.join("network/1.jsonl")).unwrap();
    assert_eq!(written.lines().count(), told.len());
    assert!(
        written.contains(r#""job":"publish","protocol":"tcp","name":null,"address":"169.254.169.254""#),
        "{written}"
    );
}
