//! The OpenAPI document itself.

use std::path::Path;
use std::process::Command;

use axum::body::Body;
use axum::http::Method;
use server::machines::OPENAPI;

use crate::fixture::Server;
use crate::schema::document;

#[tokio::test]
async fn the_document_is_served() {
    let server = Server::start().await;
    let served = server.bearer("nothing").get("/openapi.json").await.ok(200);
    assert_eq!(served.bytes, OPENAPI.as_bytes());
}

#[tokio::test]
async fn every_route_and_method_is_in_the_document_and_nothing_else() {
    let server = Server::start().await;
    let ann = server.ann();
    let document = document();
    let documented: Vec<String> = document["paths"].as_object().unwrap().keys().cloned().collect();
    let mut routes: Vec<String> = server.machines.paths().into_iter().map(str::to_owned).collect();
    routes.sort();
    let mut sorted = documented.clone();
    sorted.sort();
    assert_eq!(routes, sorted);
    for path in documented {
        for method in [Method::GET, Method::POST, Method::PUT, Method::DELETE, Method::PATCH] {
            let is_documented = !document["paths"][&path][method.as_str().to_lowercase()].is_null();
            let instance = path.replace("{id}", "vm-0").replace("{snapshot_id}", "api-0");
            let answer = ann.client.send(method.clone(), &instance, Body::empty()).await.unwrap();
            assert_eq!(answer.status() != 405, is_documented, "{method} {path}");
        }
    }
}

/// By the schema of the specification itself; `cargo xtask setup` installs the validator.
#[test]
fn the_document_is_valid_openapi() {
    let clients = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../e2e/clients");
    assert!(
        clients.join("node_modules/@seriousme/openapi-schema-validator").is_dir(),
        "the validator is not installed; run: cargo xtask setup"
    );
    let check = |document: &str| {
        let script = "import { Validator } from '@seriousme/openapi-schema-validator'; \
                      const result = await new Validator().validate(JSON.parse(process.argv[1])); \
                      console.log(JSON.stringify(result.errors ?? [])); process.exit(result.valid ? 0 : 1);";
        let mut node = Command::new("node");
        node.args(["--input-type=module", "-e", script, document]).current_dir(&clients);
        node.output().expect("node is installed")
    };
    let found = check(OPENAPI);
    assert!(
        found.status.success(),
        "{}{}",
        String::from_utf8_lossy(&found.stdout),
        String::from_utf8_lossy(&found.stderr)
    );
    let broken = OPENAPI.replace("\"in\": \"path\"", "\"in\": \"nowhere\"");
    assert_eq!(check(&broken).status.code(), Some(1), "the validator sees what is wrong");
}
