//! What is answered to a webhook.

use serde_json::Value as Json;

use crate::github::refs::text;

/// The message of the answer. Its words are those of the server that Hearth takes the place of.
pub fn answer(event: &str, payload: &Json) -> String {
    let action = text(payload, "/action");
    match (event, action) {
        ("push", _) => format!("Push webhook received for {}", text(payload, "/ref").unwrap_or("unknown")),
        ("pull_request", Some("opened" | "synchronize")) => {
            "Pull request webhook received and workflow execution started".to_owned()
        }
        (_, action) => format!("Webhook received (action={})", action.unwrap_or("none")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::answer;

    #[test]
    fn the_answers_are_those_that_clients_know() {
        let push = answer("push", &json!({"ref": "refs/heads/main"}));
        assert_eq!(push, "Push webhook received for refs/heads/main");
        let started = "Pull request webhook received and workflow execution started";
        for action in ["opened", "synchronize"] {
            assert_eq!(answer("pull_request", &json!({"action": action})), started);
        }
        assert_eq!(answer("pull_request", &json!({"action": "closed"})), "Webhook received (action=closed)");
        assert_eq!(answer("ping", &json!({})), "Webhook received (action=none)");
    }
}
