//! Components that lie about what they return: lengths of texts and lists that their memory does
//! not have. No tool chain makes such, so they are written by hand.

use waft_plugin_host::Refusal;

use crate::support::*;

/// A plugin whose descriptor has those lengths: of its name in octets, of its list of verbs in
/// entries.
fn lying(name: u32, verbs: u32) -> Vec<u8> {
    let words = [0, name, 0, 0, 0, 0, 0, verbs, 0, 0, 0, 0, 0, 0, 0, 0];
    let octets = words.iter().flat_map(|word: &u32| word.to_le_bytes());
    let data: String = octets.map(|octet| format!("\\{octet:02x}")).collect();
    let record = r#"(record
        (field "name" string) (field "version" string) (field "description" string)
        (field "verbs" (list string)) (field "site" (list (tuple string string)))
        (field "features" (list string)) (field "events" (list string))
        (field "extra" (list (tuple string string))))"#;
    wat(&format!(
        r#"(component
            (core module $code
                (memory (export "memory") 1)
                (func (export "describe") (result i32) (i32.const 1024))
                (func (export "init") (result i32) (i32.const 2048))
                (data (i32.const 1024) "{data}"))
            (core instance $code (instantiate $code))
            (type $descriptor {record})
            (func $describe (result $descriptor)
                (canon lift (core func $code "describe") (memory (core memory $code "memory"))))
            (func $init (result (result (error string)))
                (canon lift (core func $code "init") (memory (core memory $code "memory"))))
            (component $lifecycle
                (type $record {record})
                (import "descriptor" (type $given (eq $record)))
                (import "describe" (func $describe (result $given)))
                (import "init" (func $init (result (result (error string)))))
                (export $told "descriptor" (type $given))
                (export "describe" (func $describe) (func (result $told)))
                (export "init" (func $init)))
            (instance $lifecycle (instantiate $lifecycle
                (with "descriptor" (type $descriptor))
                (with "describe" (func $describe))
                (with "init" (func $init))))
            (export "waft:plugin/lifecycle@0.1.0" (instance $lifecycle)))"#
    ))
}

/// What a component is refused for, if it is.
async fn refused(bytes: &[u8]) -> Option<Refusal> {
    let directory = Directory::new();
    directory.put("liar.wasm", bytes);
    let loaded = waft_plugin_host::Host::load(directory.settings()).await;
    loaded.err().map(|mut errors| errors.0.remove(0).refusal)
}

#[tokio::test]
async fn lengths_that_memory_does_not_have_cost_the_component_its_place() {
    assert_eq!(refused(&lying(16, 0)).await, None, "an honest one");
    for (name, verbs) in
        [(1 << 30, 0), (u32::MAX, 0), (65_537, 0), (0, 1 << 28), (0, u32::MAX), (0, 1 << 31)]
    {
        let refusal = refused(&lying(name, verbs)).await;
        assert!(matches!(refusal, Some(Refusal::Describe(_))), "{name} {verbs}: {refusal:?}");
    }
}
