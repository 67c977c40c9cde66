//! What sinks' plugins keep is saved with the rest.

use super::*;

#[tokio::test]
async fn what_a_plugin_keeps_is_whole_for_verify_and_in_a_salvage() {
    let folder = folder();
    let outbox = open(&folder);
    let value = Some(b"kept".to_vec());
    let kept = outbox.keep_sink_state("crm", "token", value.clone()).await;
    assert_eq!(kept, Ok(true));
    close(outbox);
    let path = folder.path().join("store");
    let verdict = verify(&path, &[], 16 << 20).expect("verifies");
    assert_eq!(verdict.found, 0, "{:?}", verdict.problems);
    let copied = tempfile::tempdir().expect("a folder");
    salvage(&path, &copied.path().join("store"), &[]).expect("salvages");
    let outbox = open(&copied);
    assert_eq!(outbox.sink_state("crm", "token"), Ok(value));
    close(outbox);
}
