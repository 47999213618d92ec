//! Content filters: who sees which bytes, and what their verdicts come to.

use waft_core::VirtualPath;
use waft_core::event::Direction;
use waft_core::hooks::{
    ContentRefusal, ContentStream, ContentVerdict, HookSource, Passage, WantedContent,
};
use waft_plugin_host::{Host, HostSettings, OnError, PluginSettings};

use crate::support::*;

fn passage(direction: Direction) -> Passage {
    let path = VirtualPath::root().join(b"/pub/a").unwrap();
    Passage { session: session(), direction, path, size: None, partial: false }
}

async fn wanted(
    host: &Host,
    direction: Direction,
) -> Result<Option<Box<dyn WantedContent>>, ContentRefusal> {
    host.current().content().unwrap().wanted(passage(direction)).await
}

async fn stream(host: &Host, direction: Direction) -> Box<dyn ContentStream> {
    wanted(host, direction).await.unwrap().unwrap().open().await.unwrap()
}

async fn customs(settings: PluginSettings) -> (Directory, Host) {
    host_of(&component("tests/customs"), settings).await
}

/// Plugins by their names, each of them the guest `customs`.
async fn several(plugins: &[(&str, &[(&str, &str)])]) -> (Directory, Host) {
    let directory = Directory::new();
    let settings = plugins.iter().map(|(name, config)| {
        directory.put(&format!("{name}.wasm"), &component("tests/customs"));
        plugin(name, config)
    });
    let settings = HostSettings { plugins: settings.collect(), ..directory.settings() };
    let host = load(settings).await;
    (directory, host)
}

/// Everything that comes out, and the verdict in words.
async fn pass(mut stream: Box<dyn ContentStream>, pieces: &[&[u8]]) -> (Vec<u8>, String) {
    let mut out = Vec::new();
    for piece in pieces {
        match stream.push(piece.to_vec()).await {
            Ok(piece) => out.extend(piece),
            Err(refusal) => return (out, told("refused at once", &refusal)),
        }
    }
    match stream.finish().await {
        ContentVerdict::Accept(tail) => {
            out.extend(tail);
            (out, "accepted".to_owned())
        }
        ContentVerdict::Refuse(refusal) => (out, told("refused", &refusal)),
        ContentVerdict::Quarantine(refusal) => (out, told("quarantined", &refusal)),
    }
}

fn told(what: &str, refusal: &ContentRefusal) -> String {
    format!("{what} by {}: {}", refusal.plugin, text(&refusal.reply))
}

#[tokio::test]
async fn nobody_is_asked_where_no_plugin_has_the_hook() {
    let (_directory, host) = host_of(&echo(), plugin("p", &[])).await;
    assert!(host.current().content().is_none());
}

#[tokio::test]
async fn what_is_skipped_has_no_stream() {
    let (_directory, host) = customs(plugin("p", &[("upload", "inspect")])).await;
    assert!(wanted(&host, Direction::Download).await.unwrap().is_none());
    assert!(!wanted(&host, Direction::Upload).await.unwrap().unwrap().transforms());
}

#[tokio::test]
async fn who_inspects_changes_nothing() {
    let config = [("upload", "inspect"), ("mark", "ignored")];
    let (_directory, host) = customs(plugin("p", &config)).await;
    let large = vec![b'x'; 600 * 1024];
    let (out, verdict) = pass(stream(&host, Direction::Upload).await, &[b"abc", &large]).await;
    assert_eq!((out.len(), verdict.as_str()), (3 + large.len(), "accepted"));
}

#[tokio::test]
async fn uploads_pass_in_order_and_downloads_in_reverse() {
    let both = |mark| [("upload", "transform"), ("download", "transform"), ("mark", mark)];
    let (_directory, host) = several(&[("a", &both("a")), ("b", &both("b"))]).await;
    assert!(wanted(&host, Direction::Upload).await.unwrap().unwrap().transforms());
    let up = pass(stream(&host, Direction::Upload).await, &[b"x", b"Y"]).await;
    // The mark of the first goes through the second, which swaps its case.
    assert_eq!(up, (b"xYAb".to_vec(), "accepted".to_owned()));
    let down = pass(stream(&host, Direction::Download).await, &[b"x", b"Y"]).await;
    assert_eq!(down, (b"xYBa".to_vec(), "accepted".to_owned()));
}

#[tokio::test]
async fn the_first_refusal_counts() {
    let scan = |reply| [("upload", "inspect"), ("refuse", "EVIL"), ("reply", reply)];
    let (_directory, host) =
        several(&[("a", &scan("550 A says no.")), ("b", &scan("550 B says no."))]).await;
    let (_, verdict) = pass(stream(&host, Direction::Upload).await, &[b"an E", b"VIL file"]).await;
    assert_eq!(verdict, "refused by a: 550 A says no.");
    let (_, verdict) = pass(stream(&host, Direction::Upload).await, &[b"a good one"]).await;
    assert_eq!(verdict, "accepted");
}

#[tokio::test]
async fn a_refusal_may_come_at_once() {
    let config = [("upload", "inspect"), ("refuse", "EVIL"), ("at_once", "true")];
    let (_directory, host) = customs(plugin("p", &config)).await;
    let (_, verdict) = pass(stream(&host, Direction::Upload).await, &[b"EVIL", b"more"]).await;
    assert_eq!(verdict, "refused at once by p: 550 Not that.");
}

#[tokio::test]
async fn what_is_put_aside_may_be_told_to_be_well() {
    let config = [("upload", "inspect"), ("quarantine", "ODD"), ("reply", "226 Thank you.")];
    let (_directory, host) = customs(plugin("p", &config)).await;
    let (_, verdict) = pass(stream(&host, Direction::Upload).await, &[b"ODD"]).await;
    assert_eq!(verdict, "quarantined by p: 226 Thank you.");
}

#[tokio::test]
async fn a_reply_that_cannot_end_a_transfer_is_the_plugins_failure() {
    for reply in ["226 Fine.", "150 Wait.", "350 More.", "421 Bye.", "999 What?"] {
        let config = [("upload", "inspect"), ("refuse", "EVIL"), ("reply", reply)];
        let (_directory, host) = customs(plugin("p", &config)).await;
        let (_, verdict) = pass(stream(&host, Direction::Upload).await, &[b"EVIL"]).await;
        assert_eq!(verdict, "refused by p: 451 Local error: plugin failed.", "{reply}");
        assert_eq!(host.status().plugins[0].counts.bad_verdicts, 1);
    }
}

#[tokio::test]
async fn a_filter_that_breaks_refuses() {
    let failed = "451 Local error: plugin failed.";
    for place in ["wants", "open", "push", "finish"] {
        let config = [("upload", "inspect"), ("trap", place)];
        let (_directory, host) = customs(plugin("p", &config)).await;
        let verdict = match wanted(&host, Direction::Upload).await {
            Err(refusal) => text(&refusal.reply),
            Ok(wanted) => match wanted.unwrap().open().await {
                Err(refusal) => text(&refusal.reply),
                Ok(stream) => pass(stream, &[b"abc"]).await.1,
            },
        };
        assert!(verdict.ends_with(failed), "{place}: {verdict}");
        assert_eq!(host.status().plugins[0].counts.traps, 1, "{place}");
    }
}

#[tokio::test]
async fn who_may_fail_is_passed_over_unless_it_changes_the_bytes() {
    for place in ["open", "push", "finish"] {
        for (look, passes) in [("inspect", true), ("transform", false)] {
            let config = [("upload", look), ("trap", place)];
            let settings = PluginSettings { on_error: OnError::Allow, ..plugin("p", &config) };
            let (_directory, host) = customs(settings).await;
            let verdict = match wanted(&host, Direction::Upload).await.unwrap() {
                None => "accepted".to_owned(),
                Some(wanted) => match wanted.open().await {
                    Err(refusal) => told("refused", &refusal),
                    Ok(stream) => pass(stream, &[b"abc"]).await.1,
                },
            };
            assert_eq!(verdict == "accepted", passes, "{look}, {place}: {verdict}");
        }
    }
}

#[tokio::test]
async fn who_cannot_say_what_it_would_do_is_never_passed_over() {
    for look in ["inspect", "transform"] {
        let config = [("upload", look), ("trap", "wants")];
        let settings = PluginSettings { on_error: OnError::Allow, ..plugin("p", &config) };
        let (_directory, host) = customs(settings).await;
        tokio::time::pause();
        // The last time it is not asked any more: it has failed too often.
        for _ in 0..6 {
            let refusal = wanted(&host, Direction::Upload).await.err().unwrap();
            assert_eq!(told("refused", &refusal), "refused by p: 451 Local error: plugin failed.");
        }
        assert_eq!(host.status().plugins[0].counts.traps, 5, "{look}");
        assert!(host.status().plugins[0].breaker_open, "{look}");
        tokio::time::resume();
    }
}

#[tokio::test]
async fn a_stream_stays_with_its_version() {
    let directory = Directory::new();
    directory.put("p.wasm", &component("tests/customs"));
    let with = |mark| {
        let plugin = plugin("p", &[("upload", "transform"), ("mark", mark)]);
        HostSettings { plugins: vec![plugin], ..directory.settings() }
    };
    let host = load(with("old")).await;
    let mut before = stream(&host, Direction::Upload).await;
    assert_eq!(before.push(b"a".to_vec()).await.unwrap(), b"A");
    host.reconfigure(with("new")).await.unwrap();
    assert_eq!(pass(before, &[b"b"]).await.0, b"Bold");
    assert_eq!(pass(stream(&host, Direction::Upload).await, &[b"b"]).await.0, b"Bnew");
}
