//! Settings that lie beside a component, through the server as it is run: one unit with it, and
//! never more than the operator grants.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

mod support;

use std::fs;

use support::control::Control;
use support::folder::{COMPONENT, KEPT, SCENARIO, SETTINGS, answer, deny, site, until};
use support::plugin::{another, component};
use support::site::Site;
use support::waft::Waft;

fn generation(waft: &Waft) -> u64 {
    let mut control = Control::connect(&waft.path("state/control.sock"));
    control.plugins()["generation"].as_u64().unwrap()
}

#[test]
fn settings_beside_a_component_change_with_it_and_alone() {
    let site = site("");
    site.write(COMPONENT, component("command-policy"));
    site.write(SETTINGS, deny("One."));
    let waft = site.serve();
    assert_eq!(answer(&waft), ["502 One."]);
    let told =
        waft.site.waft(&["plugin", "list", "--config", "waft.toml"], "").succeeded().stdout();
    assert!(told.lines().nth(1).unwrap().ends_with("  command-policy.toml"), "{told}");

    until(&waft, |site| site.write(SETTINGS, deny("Two.")), "plugin replaced");
    assert_eq!((answer(&waft), generation(&waft)), (vec!["502 Two.".to_owned()], 2));

    let wrong = format!("prioriti = 1\n{}", deny("Three."));
    let line = until(&waft, |site| site.write(SETTINGS, wrong), KEPT);
    let place = waft.path(SETTINGS).display().to_string();
    let reason = format!("its settings are wrong: {place}:1:1: prioriti: unknown key");
    assert_eq!(line.field("reason"), reason);
    assert_eq!(line.field("remedy"), "did you mean priority?");
    assert_eq!((answer(&waft), generation(&waft)), (vec!["502 Two.".to_owned()], 2));
    let status = ["plugin", "status", "command-policy", "--config", "waft.toml"];
    let told = waft.site.waft(&status, "").succeeded().stdout();
    for part in ["not taken", "command-policy.toml:1:1: prioriti", "\nsettings  "] {
        assert!(told.contains(part), "{part}: {told}");
    }

    // Without them it is as any other that nobody named.
    until(&waft, |site| fs::remove_file(site.path(SETTINGS)).unwrap(), "plugin replaced");
    assert_eq!((answer(&waft)[0].get(..3), generation(&waft)), (Some("250"), 3));
}

#[test]
fn a_component_and_its_settings_take_effect_together_in_whatever_order_they_are_written() {
    let waft = site("debounce = \"500ms\"\nunlisted = \"off\"\n").serve();
    let new = |site: &Site| {
        site.write(COMPONENT, component("command-policy"));
        site.write(SETTINGS, deny("New."));
    };
    until(&waft, new, "plugin loaded");
    assert_eq!((answer(&waft), generation(&waft)), (vec!["502 New.".to_owned()], 2));
    let component_first = |site: &Site| {
        site.write(COMPONENT, another(&component("command-policy")));
        site.write(SETTINGS, deny("Component first."));
    };
    until(&waft, component_first, "plugin replaced");
    assert_eq!((answer(&waft), generation(&waft)), (vec!["502 Component first.".to_owned()], 3));
    let settings_first = |site: &Site| {
        site.write(SETTINGS, deny("Settings first."));
        site.write(COMPONENT, component("command-policy"));
    };
    until(&waft, settings_first, "plugin replaced");
    assert_eq!((answer(&waft), generation(&waft)), (vec!["502 Settings first.".to_owned()], 4));
    // A component is not taken with settings that are wrong, whichever of the two is older.
    let both = |site: &Site| {
        site.write(COMPONENT, another(&component("command-policy")));
        site.write(SETTINGS, "config = 1\n");
    };
    until(&waft, both, KEPT);
    assert_eq!((answer(&waft), generation(&waft)), (vec!["502 Settings first.".to_owned()], 4));
    until(&waft, |site| site.write(SETTINGS, deny("Mended.")), "plugin replaced");
    assert_eq!((answer(&waft), generation(&waft)), (vec!["502 Mended.".to_owned()], 5));
    // Nor are its settings given to the version before, where a component is no good.
    let broken = |site: &Site| {
        site.write(COMPONENT, "not a component");
        site.write(SETTINGS, deny("For a broken one."));
    };
    until(&waft, broken, KEPT);
    assert_eq!((answer(&waft), generation(&waft)), (vec!["502 Mended.".to_owned()], 5));
    until(
        &waft,
        |site| site.write(COMPONENT, another(&component("command-policy"))),
        "plugin replaced",
    );
    assert_eq!((answer(&waft), generation(&waft)), (vec!["502 For a broken one.".to_owned()], 6));
    // Where components without settings are not loaded, taking them away takes the plugin away.
    until(&waft, |site| fs::remove_file(site.path(SETTINGS)).unwrap(), "plugin removed");
    assert_eq!(answer(&waft)[0].get(..3), Some("250"));
}

#[test]
fn settings_beside_a_component_grant_nothing() {
    let site = site("");
    site.write("plugins.d/webhook.wasm", component("webhook"));
    site.write("plugins.d/webhook.toml", "[grant]\nhttp = [\"https://hooks.example.org\"]\n");
    let check = |site: &Site| site.waft(&["check", "--config", "waft.toml"], "");
    let told = check(&site).stderr();
    for part in [
        "/plugins.d/webhook.toml:1:2: grant: cannot be said beside the component",
        "remedy: move all of this file to waft.toml, under [[plugin]] with name = \"webhook\"",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
    site.write("plugins.d/webhook.toml", "[config]\nurl = \"https://hooks.example.org/\"\n");
    let told = check(&site).stderr();
    let part = "remedy: only the configuration grants: move webhook.toml there, under:\n[[plugin]]";
    assert!(told.contains(part), "{told}");
}

#[test]
fn settings_in_two_places_are_a_mistake_that_names_both() {
    let site = site("[[plugin]]\nname = \"command-policy\"\n[plugin.config]\ndeny = [\"CWD\"]\n");
    site.write(COMPONENT, component("command-policy"));
    let waft = site.serve();
    let line = until(&waft, |site| site.write(SETTINGS, deny("Beside.")), KEPT);
    let beside = waft.path(SETTINGS).display().to_string();
    let both = format!("has settings of its own in {beside}, and a [[plugin]] in waft.toml");
    assert_eq!(line.field("reason"), both);
    assert_eq!(answer(&waft), ["502 Command not implemented."]);
    let told = waft.site.waft(&["check", "--config", "waft.toml"], "").stderr();
    let place = told.lines().find(|line| line.contains(&both)).unwrap();
    assert!(place.starts_with("error: waft.toml:"), "{told}");
    let remedy = format!("keep one of them: remove {beside}, or the [[plugin]]");
    assert!(told.contains(&remedy), "{told}");
    // Whichever goes, the other holds.
    let text = fs::read_to_string(waft.path("waft.toml")).unwrap();
    let without = text.split("[[plugin]]").next().unwrap().to_owned();
    until(&waft, |site| site.write("waft.toml", without), "configuration reloaded");
    assert_eq!(answer(&waft), ["502 Beside."]);
}

#[test]
fn a_plugin_comes_into_force_once_its_scenario_goes_as_it_is_written() {
    let site = site("");
    site.write(COMPONENT, component("command-policy"));
    site.write(SETTINGS, deny("One."));
    let scenario = |words: &str| format!("file: a \"A\"\nlogin\n> CWD /\n< 502 {words}\n");
    site.write(SCENARIO, scenario("One."));
    let waft = site.serve();
    assert_eq!(answer(&waft), ["502 One."]);
    // Nothing of the scenario's server is the server's.
    assert!(!waft.file("a").exists());
    let loaded = waft.log.lines().into_iter().filter(|line| line.message() == "plugin loaded");
    assert_eq!(loaded.count(), 1);

    let line = until(&waft, |site| site.write(SETTINGS, deny("Two.")), KEPT);
    let place = waft.path(SCENARIO).display().to_string();
    let reason = format!("its self-test fails: {place}:4: expected: < 502 One., got: < 502 Two.");
    assert_eq!(line.field("reason"), reason);
    assert_eq!((answer(&waft), generation(&waft)), (vec!["502 One.".to_owned()], 1));
    let check = |site: &Site| site.waft(&["check", "--config", "waft.toml"], "").stderr();
    assert!(check(&waft).contains(&reason), "{}", check(&waft));
    until(&waft, |site| site.write(SCENARIO, scenario("Two.")), "plugin replaced");
    assert_eq!((answer(&waft), generation(&waft)), (vec!["502 Two.".to_owned()], 2));

    let nonsense = |site: &Site| {
        site.write(COMPONENT, another(&component("command-policy")));
        site.write(SCENARIO, "login\nhello\n");
    };
    let line = until(&waft, nonsense, KEPT);
    let reason = format!("its self-test fails: {place}:2: not a step: hello");
    assert_eq!(line.field("reason"), reason);
    assert_eq!(generation(&waft), 2);
    until(&waft, |site| fs::remove_file(site.path(SCENARIO)).unwrap(), "plugin replaced");
    assert_eq!((answer(&waft), generation(&waft)), (vec!["502 Two.".to_owned()], 3));
}

#[test]
fn a_scenario_beside_a_component_may_have_settings_of_its_own() {
    let site = site("");
    site.write(COMPONENT, component("command-policy"));
    site.write(SETTINGS, deny("One."));
    let own = "plugin:\n  | [plugin.config]\n  | deny = [\"PWD\"]\n\
               login\n> PWD\n< 502 {any}\n> CWD /\n< 250 {any}\n";
    site.write(SCENARIO, own);
    let waft = site.serve();
    assert_eq!(answer(&waft), ["502 One."]);
    waft.log_in().expect("PWD", 257);
}

#[test]
fn a_look_at_a_component_tells_the_settings_beside_it() {
    let site = site("unlisted = \"off\"\n");
    site.write(COMPONENT, component("command-policy"));
    let told = site.waft(&["plugin", "inspect", COMPONENT], "").succeeded().stdout();
    assert!(told.contains("\nsettings      none beside it\n"), "{told}");
    site.write(SETTINGS, deny("No."));
    let told = site.waft(&["plugin", "inspect", COMPONENT], "").succeeded().stdout();
    assert!(told.contains(&format!("\nsettings      {SETTINGS} beside it\n")), "{told}");
    let told = site.waft(&["check", "--config", "waft.toml"], "").stderr();
    let place = site.path(SETTINGS);
    let line = format!("plugin command-policy: settings in {}\n", place.display());
    assert!(told.contains(&line), "{told}");
    let check = ["plugin", "check", COMPONENT];
    site.waft(&check, "").succeeded();
    // What a plugin says of its settings, it says of these.
    site.write(SETTINGS, "[config]\ndeny = [\"no-such-bundle\"]\n");
    let told = site.waft(&check, "").stderr();
    assert!(told.contains("no-such-bundle"), "{told}");
    site.write(SETTINGS, "confg = 1\n");
    let told = site.waft(&[&check[..], &["--config", "waft.toml"]].concat(), "").stderr();
    assert!(told.contains("command-policy.toml:1:1: confg: unknown key"), "{told}");
}
