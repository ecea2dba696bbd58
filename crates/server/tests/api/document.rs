//! The OpenAPI document itself.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use server::api::{OPENAPI, routes};

use crate::fixture::{World, document};

/// Routes that need no token.
const OPEN: [(&str, &str); 5] = [
    ("get", "/api/v1/openapi.json"),
    ("get", "/health"),
    ("get", "/ready"),
    ("get", "/metrics"),
    ("post", "/webhook"),
];

#[tokio::test]
async fn the_document_is_served_to_anybody() {
    let world = World::start().await;
    let served = world.nobody().get("/api/v1/openapi.json").await.is(200);
    assert_eq!(served.bytes, OPENAPI.as_bytes());
}

#[test]
fn every_route_and_method_is_in_the_document_and_nothing_else() {
    let document = document();
    let paths = document["paths"].as_object().unwrap().iter();
    let documented: BTreeSet<(String, String)> = paths
        .flat_map(|(path, item)| item.as_object().unwrap().keys().map(|key| (key.clone(), path.clone())))
        .filter(|(key, _)| key != "parameters")
        .collect();
    let own = routes().into_iter().map(|route| (route.method.as_str().to_lowercase(), route.path.to_owned()));
    let open = OPEN.map(|(method, path)| (method.to_owned(), path.to_owned()));
    assert_eq!(documented, own.chain(open).collect());
}

#[tokio::test]
async fn a_method_that_is_not_in_the_document_is_refused() {
    let world = World::start().await;
    let nobody = world.nobody();
    nobody.send(axum::http::Method::PATCH, "/api/v1/runs", "").await.refused(405);
    nobody.get("/webhook").await.refused(405);
}

/// By the schema of the specification itself; `cargo xtask setup` installs the validator.
#[test]
fn the_document_is_valid_openapi() {
    let clients = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../e2e/clients");
    assert!(
        clients.join("node_modules/@seriousme/openapi-schema-validator").is_dir(),
        "the validator is not installed; run: cargo xtask setup"
    );
    let script = "import { Validator } from '@seriousme/openapi-schema-validator'; \
                  const result = await new Validator().validate(JSON.parse(process.argv[1])); \
                  console.log(JSON.stringify(result.errors ?? [])); process.exit(result.valid ? 0 : 1);";
    let mut node = Command::new("node");
    node.args(["--input-type=module", "-e", script, OPENAPI]).current_dir(&clients);
    let found = node.output().expect("node is installed");
    assert!(found.status.success(), "{}", String::from_utf8_lossy(&found.stdout));
}
