//! Components that no tool chain makes, put together by hand.

use std::path::Path;

use wit_component::{ComponentEncoder, StringEncoding, dummy_module, embed_component_metadata};
use wit_parser::{ManglingAndAbi, Resolve, WorldId};

/// The interface that they are built for: a text that never changes, as they name its functions.
fn interface() -> String {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../wit/released/0.1.0.wit");
    std::fs::read_to_string(file).unwrap()
}

/// A world of an interface.
fn world(interface: &str, name: &str) -> (Resolve, WorldId) {
    let mut resolve = Resolve::default();
    let package = resolve.push_str("waft-plugin.wit", interface).unwrap();
    let world = resolve.select_world(&[package], Some(name)).unwrap();
    (resolve, world)
}

fn component(mut module: Vec<u8>, resolve: &Resolve, world: WorldId, canonical: bool) -> Vec<u8> {
    embed_component_metadata(&mut module, resolve, world, StringEncoding::UTF8, canonical).unwrap();
    ComponentEncoder::default().module(&module).unwrap().encode().unwrap()
}

/// Answers a command, whose name has four letters, with a reply whose lengths are not true, or too
/// large. By the first letter of the argument:
///
/// - `l`: a list of 4,294,967,295 lines;
/// - `t`: a line of 1 GiB, in a memory of 128 KiB;
/// - `m`: 4096 lines that are all the same 64 KiB;
/// - `g`: a line of 1 GiB in a memory that holds it. Nobody wrote there, so that it costs nothing.
pub(crate) fn liar(verb: &str) -> Vec<u8> {
    assert_eq!(verb.len(), 4);
    let (resolve, world) = world(&interface(), "with-command-filter");
    let module = wat::parse_str(LIAR.replace("VERB", verb)).unwrap();
    component(module, &resolve, world, false)
}

/// Has a memory of 3 GiB from the first, of which it needs next to nothing.
pub(crate) fn vast() -> Vec<u8> {
    let (resolve, world) = world(&interface(), "with-command-filter");
    let small = "(memory (export \"memory\") 2)";
    assert!(LIAR.contains(small));
    let vast = LIAR.replace(small, "(memory (export \"memory\") 49152)");
    component(wat::parse_str(vast).unwrap(), &resolve, world, false)
}

/// Exports `command-filter` with another function than the server calls.
pub(crate) fn misfit() -> Vec<u8> {
    let told = "on-command: func(s: borrow<session>, c: command) -> command-decision;";
    let other = "on-command: func(c: command) -> bool;";
    let original = interface();
    assert!(original.contains(told), "the interface does not have: {told}");
    let (resolve, world) = world(&original.replace(told, other), "with-command-filter");
    let module = dummy_module(&resolve, world, ManglingAndAbi::Standard32);
    component(module, &resolve, world, true)
}

/// Exports a hook that there is not.
pub(crate) fn unknown_hook() -> Vec<u8> {
    let hook = "(export \"waft:plugin/thought-filter@0.1.0\" (instance $i))";
    bare("", hook)
}

/// Imports what there is not.
pub(crate) fn forbidden_import() -> Vec<u8> {
    bare("(import \"wasi:nn/inference@0.2.0\" (instance))", "")
}

fn bare(imports: &str, exports: &str) -> Vec<u8> {
    let lifecycle = "(export \"waft:plugin/lifecycle@0.1.0\" (instance $i))";
    wat::parse_str(format!("(component {imports} (instance $i) {lifecycle} {exports})")).unwrap()
}

/// The descriptor lies at 1024, the answers at 3072, the lists of lines from 4096 on; what the host
/// hands over goes behind 65536, where each call begins anew.
const LIAR: &str = r#"(module
    (import "waft:plugin/sessions@0.1.0" "[resource-drop]session" (func $drop (param i32)))
    (memory (export "memory") 2)
    (global $free (mut i32) (i32.const 65536))
    (data (i32.const 16) "liarVERB")
    (data (i32.const 64) "\14\00\00\00\04\00\00\00")
    (data (i32.const 1024)
        "\10\00\00\00\04\00\00\00\10\00\00\00\04\00\00\00\10\00\00\00\04\00\00\00"
        "\40\00\00\00\01\00\00\00")
    (data (i32.const 3072) "\02\00\00\00\c8\00\00\00")
    (data (i32.const 4096) "\00\00\00\00\00\00\00\40")
    (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
        (local $place i32)
        (local.set $place (global.get $free))
        (global.set $free
            (i32.and (i32.add (i32.add (local.get $place) (local.get 3)) (i32.const 7)) (i32.const -8)))
        (local.get $place))
    (func (export "waft:plugin/lifecycle@0.1.0#describe") (result i32) (i32.const 1024))
    (func (export "waft:plugin/lifecycle@0.1.0#init") (result i32) (i32.const 2048))
    (func $lines (param $place i32) (param $count i32)
        (i32.store (i32.const 3080) (local.get $place))
        (i32.store (i32.const 3084) (local.get $count)))
    (func $repeat (local $place i32)
        (local.set $place (i32.const 32768))
        (loop $next
            (i32.store (local.get $place) (i32.const 65536))
            (i32.store offset=4 (local.get $place) (i32.const 65536))
            (local.set $place (i32.add (local.get $place) (i32.const 8)))
            (br_if $next (i32.lt_u (local.get $place) (i32.const 65536)))))
    (func (export "waft:plugin/command-filter@0.1.0#on-command")
        (param $session i32) (param i32 i32 i32) (param $arg i32) (param i32) (result i32)
        (local $letter i32)
        (local.set $letter (i32.load8_u (local.get $arg)))
        (call $drop (local.get $session))
        (global.set $free (i32.const 65536))
        (if (i32.eq (local.get $letter) (i32.const 0x6c))
            (then (call $lines (i32.const 4096) (i32.const -1))))
        (if (i32.eq (local.get $letter) (i32.const 0x74))
            (then (call $lines (i32.const 4096) (i32.const 1))))
        (if (i32.eq (local.get $letter) (i32.const 0x6d))
            (then
                (call $repeat)
                (call $lines (i32.const 32768) (i32.const 4096))))
        (if (i32.eq (local.get $letter) (i32.const 0x67))
            (then
                (drop (memory.grow (i32.const 16384)))
                (i32.store (i32.const 4096) (i32.const 65536))
                (call $lines (i32.const 4096) (i32.const 1))))
        (i32.const 3072)))"#;
