use waft_plugin_sdk::testing::TestSession;

use super::*;
use crate::quirk::QUIRKS;

fn quirks(values: &[(&str, &str)]) -> Quirks {
    Quirks::new(&Settings::of(values.iter().copied())).unwrap()
}

/// One client with one quirk, which is everyone.
fn with(quirk: &str) -> Quirks {
    quirks(&[("client.0.quirks", quirk)])
}

fn command(line: &str) -> Command {
    match line.split_once(' ') {
        Some((verb, arg)) => Command::new(verb, Some(arg)),
        None => Command::new(line, None),
    }
}

fn decide(quirks: &Quirks, session: &TestSession, line: &str) -> String {
    match quirks.on_command(session.session(), &command(line)) {
        CommandDecision::Pass => line.to_owned(),
        CommandDecision::Rewrite(Command { verb, arg: None }) => verb,
        CommandDecision::Rewrite(Command { verb, arg: Some(arg) }) => format!("{verb} {arg}"),
        CommandDecision::Answer(reply) => format!("-> {} {}", reply.code, reply.lines.join("|")),
        CommandDecision::Close(reply) => format!("-! {} {}", reply.code, reply.lines.join("|")),
    }
}

/// What becomes of a command by one quirk, and that the server is asked to show its verb.
fn put_right(quirk: &str, line: &str) -> String {
    let quirks = with(quirk);
    let verbs: Vec<&str> = quirks.clients[0].commands().collect();
    let decided = decide(&quirks, &TestSession::new().cwd("/a\"b"), line);
    let verb = line.split(' ').next().unwrap();
    assert!(decided == line || verbs.contains(&verb), "{quirk} does not want {verb}");
    decided
}

fn reworded(quirks: &Quirks, line: &str, code: u16, text: &str) -> Option<String> {
    let session = TestSession::new().user("alice");
    let reply = quirks.on_reply(session.session(), &command(line), &Reply::new(code, text))?;
    Some(format!("{} {}", reply.code, reply.lines.join("|")))
}

#[test]
fn each_quirk_puts_its_commands_right_and_no_others() {
    for (quirk, line, expected) in [
        ("words", "MKDIR a", "MKD a"),
        ("words", "LS", "LIST"),
        ("words", "BYE", "-! 221 Goodbye."),
        ("words", "MKD a", "MKD a"),
        ("trim", "STOR  a b\t", "STOR a b"),
        ("trim", "PWD  ", "PWD"),
        ("extra-arguments", "CDUP ..", "CDUP"),
        ("extra-arguments", "PWD /", "PWD"),
        ("missing-arguments", "CWD", "CWD /"),
        ("missing-arguments", "ALLO", "ALLO 0"),
        ("missing-arguments", "CWD a", "CWD a"),
        ("quoted-names", "STOR \"a b.jpg\"", "STOR a b.jpg"),
        ("quoted-names", "RETR 'USER.DATA'", "RETR USER.DATA"),
        ("quoted-names", "STOR \"", "STOR \""),
        ("quoted-names", "STOR \"\"", "STOR \"\""),
        ("quoted-names", "STOR a\"b\"", "STOR a\"b\""),
        ("percent-names", "STOR a%20b%C3%A4.jpg", "STOR a bä.jpg"),
        ("percent-names", "STOR 100%", "STOR 100%"),
        ("percent-names", "STOR %zz%2", "STOR %zz%2"),
        ("percent-names", "STOR %0d%0aDELE", "STOR %0d%0aDELE"),
        ("percent-names", "STOR %ff", "STOR %ff"),
        ("drive-letters", "CWD C:\\images", "CWD \\images"),
        ("drive-letters", "CWD /c:/images", "CWD /images"),
        ("drive-letters", "CWD C:", "CWD /"),
        ("drive-letters", "STOR 12:30.jpg", "STOR 12:30.jpg"),
        ("backslashes", "STOR a\\b\\c.jpg", "STOR a/b/c.jpg"),
        ("backslashes", "SITE a\\b", "SITE a\\b"),
        ("home", "CWD ~", "CWD /"),
        ("home", "CWD ~/in", "CWD /in"),
        ("home", "RETR ~notes", "RETR ~notes"),
        ("versions", "RETR A.TXT;12", "RETR A.TXT"),
        ("versions", "RETR A.TXT;", "RETR A.TXT"),
        ("versions", "RETR A;B", "RETR A;B"),
        ("dos-patterns", "LIST *.*", "LIST *"),
        ("dos-patterns", "NLST in/*.*", "NLST in/*"),
        ("dos-patterns", "LIST -l *.*", "LIST -l *"),
        ("dos-patterns", "LIST a*.*", "LIST a*.*"),
        ("listing-options", "MLSD -a -l in", "MLSD in"),
        ("listing-options", "MLSD -a", "MLSD"),
        ("listing-options", "MLSD -1l in", "MLSD in"),
        ("listing-options", "MLSD -1.txt", "MLSD -1.txt"),
        ("lower-case", "RETR README.TXT", "RETR readme.txt"),
        ("lower-case", "LIST -AR -1 IN/A B", "LIST -AR -1 in/a b"),
        ("lower-case", "NLST -L", "NLST -L"),
        ("lower-case", "NLST -A.TXT", "NLST -a.txt"),
        ("lower-case", "RETR -A", "RETR -a"),
        ("trim", "LIST -l  a ", "LIST -l a"),
        ("trim", "LIST -l ", "LIST -l"),
        ("quoted-names", "LIST -la \"a b\"", "LIST -la a b"),
        ("percent-names", "NLST -l a%20b", "NLST -l a b"),
        ("drive-letters", "LIST -l C:\\in", "LIST -l \\in"),
        ("home", "LIST -l ~/in", "LIST -l /in"),
        ("versions", "LIST -l A.TXT;1", "LIST -l A.TXT"),
        ("mdtm-sets", "MDTM 20240102030405 a b", "MFMT 20240102030405 a b"),
        ("mdtm-sets", "MDTM 20240102030405.5 a", "MFMT 20240102030405.5 a"),
        ("mdtm-sets", "MDTM 20240102030405", "MDTM 20240102030405"),
        ("mdtm-sets", "MDTM 2024 a", "MDTM 2024 a"),
        ("no-feat", "FEAT", "-> 502 FEAT is not implemented."),
        ("no-epsv", "EPSV", "-> 502 EPSV is not implemented."),
        ("no-epsv", "PASV", "PASV"),
        ("no-mlsd", "MLSD in", "-> 502 MLSD is not implemented."),
        ("no-rest", "REST 100", "-> 502 REST is not implemented."),
        ("no-rest", "REST 0", "REST 0"),
        ("no-mode-z", "MODE z", "-> 504 MODE Z is switched off here."),
        ("no-mode-z", "MODE S", "MODE S"),
        ("site-ok", "SITE umask 022", "-> 200 OK, which changes nothing here."),
        ("site-ok", "SITE FILETYPE=SEQ", "-> 200 OK, which changes nothing here."),
        ("site-ok", "SITE CHMOD 644 a", "SITE CHMOD 644 a"),
        ("bare-pwd", "PWD", "-> 257 \"/a\"b\""),
    ] {
        assert_eq!(put_right(quirk, line), expected, "{quirk}: {line}");
    }
}

#[test]
fn each_quirk_rewords_its_replies_and_no_others() {
    for (quirk, line, code, text, expected) in [
        ("exists-521", "MKD a", 550, "File exists.", Some("521 Directory already exists.")),
        ("exists-521", "MKD a", 550, "Permission denied.", None),
        ("exists-521", "MKD a", 550, "No directory of that name exists above it.", None),
        ("exists-521", "RNTO a", 550, "File exists.", None),
        ("done-250", "STOR a", 226, "Transfer complete.", Some("250 Transfer complete.")),
        ("done-250", "ABOR", 226, "Aborted.", None),
        ("classic-texts", "CWD a", 250, "Fine.", Some("250 CWD command successful.")),
        ("classic-texts", "PASS", 230, "Hello.", Some("230 User alice logged in.")),
        ("classic-texts", "USER bob", 331, "Please.", Some("331 Password required for bob.")),
        ("classic-texts", "TYPE I", 200, "Fine.", Some("200 Type set to I.")),
        ("classic-texts", "TYPE I", 504, "No.", None),
        ("one-line", "PASS", 230, "Hello.\n Be good.\n", Some("230 Hello. Be good.")),
        ("one-line", "PASS", 230, "Hello.", None),
        ("one-line", "FEAT", 211, "Features:\n UTF8\nEnd", None),
    ] {
        let said = reworded(&with(quirk), line, code, text);
        assert_eq!(said.as_deref(), expected, "{quirk}: {line} {code} {text}");
    }
    let long = reworded(&with("one-line"), "HELP", 214, &"word\n".repeat(500)).unwrap();
    assert_eq!(long.len(), "214 ".len() + 400);
}

#[test]
fn every_quirk_that_a_dialect_names_is_there() {
    for (dialect, names) in dialect::DIALECTS {
        let quirks = quirks(&[("client.0.dialects", dialect)]);
        for name in *names {
            assert!(quirks.clients[0].quirks.iter().any(|quirk| quirk.name == *name), "{name}");
        }
        let entries = QUIRKS.iter().filter(|quirk| names.contains(&quirk.name)).count();
        assert_eq!(quirks.clients[0].quirks.len(), entries);
    }
}

#[test]
fn the_quirks_of_a_dialect_work_together() {
    let camera = quirks(&[("client.0.dialects", "camera")]);
    let said = |line: &str| decide(&camera, &TestSession::new(), line);
    assert_eq!(said("CWD  C:\\cam 1\\ "), "CWD /cam 1/");
    assert_eq!(said("CDUP .."), "CDUP");
    assert_eq!(said("STOR a.jpg"), "STOR a.jpg");
    let typed = quirks(&[("client.0.dialects", "typed"), ("client.0.without", "home")]);
    assert_eq!(decide(&typed, &TestSession::new(), "CD \"~/a b\" "), "CWD ~/a b");
}

#[test]
fn the_first_client_that_a_session_fits_counts() {
    let quirks = quirks(&[
        ("client.0.networks", "192.0.2.0/24"),
        ("client.0.listeners", "devices"),
        ("client.0.quirks", "backslashes"),
        ("client.1.users", "copier"),
        ("client.1.quirks", "quoted-names"),
        ("client.2.software", "*lexmark*"),
        ("client.2.quirks", "lower-case"),
    ]);
    let said = |session: &TestSession| decide(&quirks, session, "STOR \"A\\B\"");
    let device = TestSession::new().remote_ip("192.0.2.9").listener("devices");
    assert_eq!(said(&device), "STOR \"A/B\"");
    assert_eq!(said(&device.clone().user("copier")), "STOR \"A/B\"");
    assert_eq!(said(&device.listener("others")), "STOR \"A\\B\"");
    assert_eq!(said(&TestSession::new().user("copier")), "STOR A\\B");
    let printer = TestSession::new();
    assert_eq!(said(&printer), "STOR \"A\\B\"");
    assert_eq!(decide(&quirks, &printer, "CLNT Lexmark MX 710"), "CLNT Lexmark MX 710");
    assert_eq!(said(&printer), "STOR \"a\\b\"");
}

#[test]
fn rules_of_the_operators_own_come_first() {
    let quirks = quirks(&[
        ("client.0.quirks", "backslashes"),
        ("client.0.rule.0.from", "cwd /mnt/disk1*"),
        ("client.0.rule.0.to", "CWD /*"),
        ("client.0.rule.1.from", "XSTORE *"),
        ("client.0.rule.1.to", "STOR *"),
        ("client.0.rule.2.from", "TYPE L 36"),
        ("client.0.rule.2.answer", "504 {arg} is not for {remote_ip}."),
        ("client.0.rule.3.from", "XNOP"),
        ("client.0.rule.3.to", "NOOP"),
        ("client.0.reply.0.codes", "226"),
        ("client.0.reply.0.commands", "stor"),
        ("client.0.reply.0.code", "250"),
        ("client.0.reply.0.text", "{original} {arg}"),
        ("client.0.reply.1.codes", "220"),
        ("client.0.reply.1.text", "FTP"),
    ]);
    let said = |line: &str| decide(&quirks, &TestSession::new(), line);
    assert_eq!(said("CWD /mnt/disk1/a\\b"), "CWD //a/b");
    assert_eq!(said("CWD /mnt/disk1"), "CWD /");
    assert_eq!(said("XSTORE a"), "STOR a");
    assert_eq!(said("XSTORE"), "XSTORE");
    assert_eq!(said("XNOP"), "NOOP");
    assert_eq!(said("TYPE L 36"), "-> 504 L 36 is not for 127.0.0.1.");
    assert_eq!(said("TYPE I"), "TYPE I");
    assert_eq!(reworded(&quirks, "STOR a", 226, "Done.").unwrap(), "250 Done. a");
    assert_eq!(reworded(&quirks, "RETR a", 226, "Done."), None);
    let greeted = quirks.on_reply(
        TestSession::new().session(),
        &Command::new("", None),
        &Reply::new(220, "files.example.org"),
    );
    assert_eq!(greeted, Some(Reply::new(220, "FTP")));
}

#[test]
fn nothing_is_shown_that_no_quirk_is_about() {
    let everything = Interest::everything();
    let replies: [&str; 0] = [];
    assert_eq!(
        with("missing-arguments").interest(),
        everything.clone().in_commands(["ALLO", "CWD", "XCWD"]).in_replies_to(replies).in_codes([])
    );
    assert_eq!(
        with("exists-521").interest(),
        everything.clone().in_commands(replies).in_replies_to(["MKD", "XMKD"]).in_codes([550])
    );
    let both = quirks(&[("client.0.quirks.0", "one-line"), ("client.0.quirks.1", "exists-521")]);
    assert_eq!(both.interest(), everything.clone().in_commands(replies));
    let by_name = quirks(&[("client.0.quirks", "no-feat"), ("client.0.software", "x*")]);
    assert_eq!(
        by_name.interest(),
        everything.in_commands(["FEAT", "CLNT", "CSID"]).in_replies_to(replies).in_codes([])
    );
}

#[test]
fn all_mistakes_are_reported_at_once() {
    let settings = Settings::of([
        ("client.0.networks", "here"),
        ("client.0.dialects", "camra"),
        ("client.0.quirks", "backslash"),
        ("client.0.without", "home"),
        ("client.1.users", "copier"),
        ("client.2.rule.0.to", "NOOP"),
        ("client.2.rule.1.from", "TYPE L"),
        ("client.2.rule.1.to", "TYPE I"),
        ("client.2.rule.2.from", "CWD *"),
        ("client.2.rule.2.to", "CWD */*"),
        ("client.2.rule.3.from", "X"),
        ("client.2.rule.4.from", "QUIT"),
        ("client.2.rule.4.answer", "421 no"),
        ("client.2.rule.5.from", "C:D"),
        ("client.2.rule.5.answer", "200 {x}"),
        ("client.2.rule.6.from", "TYPE L*"),
        ("client.2.rule.6.answer", "200 fine"),
        ("client.2.reply.0.code", "250"),
        ("client.2.reply.1.codes.0", "226"),
        ("client.2.reply.1.codes.1", "999"),
        ("client.2.reply.1.code", "550"),
        ("client.2.reply.2.codes", "227"),
        ("client.2.reply.2.text", "x"),
        ("client.2.reply.3.codes", "226"),
        ("client.2.reply.4.codes", "331"),
        ("client.2.reply.4.code", "332"),
        ("client.2.dialect", "camera"),
    ]);
    assert_eq!(
        Quirks::new(&settings).unwrap_err().lines().collect::<Vec<_>>(),
        [
            "client.0.networks: not a network such as 10.0.0.0/8: here",
            "client.0.dialects: no dialect, did you mean camera: camra",
            "client.0.quirks: no quirk, did you mean backslashes: backslash",
            "client.0.without: nothing asks for it: home",
            "client.1: nothing is done for it: no dialects, quirks, rule or reply",
            "client.2.rule.0.from: is missing; a command such as \"CWD /old/*\"",
            "client.2.rule.1.from: TYPE may be answered, \
             but neither changed nor be what others become",
            "client.2.rule.2.to: has more stars than from",
            "client.2.rule.3: one of to and answer is wanted",
            "client.2.rule.4.answer: a code of 2yz, 4yz or 5yz is wanted, but not 421, and a text",
            "client.2.rule.5.from: a verb is wanted, and perhaps an argument with stars: C:D",
            "client.2.rule.5.answer: unknown variable: {x}",
            "client.2.rule.6.answer: TYPE is refused, with a code from 400 to 599, \
             or left to the server",
            "client.2.reply.0.codes: are missing; those of the replies that are meant",
            "client.2.reply.1.codes.1: not a reply code: 999",
            "client.2.reply.1.code: cannot become another kind of reply: 226 to 550",
            "client.2.reply.2.text: clients read this reply: its text must hold {original}",
            "client.2.reply.3: one of code and text is wanted, or both",
            "client.2.reply.4.code: cannot become another kind of reply: 331 to 332",
            "unknown key, did you mean client.2.dialects: client.2.dialect",
        ]
    );
    let mistake = Quirks::new(&Settings::of([("x", "1")])).unwrap_err();
    assert!(mistake.starts_with("client: is missing"), "{mistake}");
    let quit =
        Settings::of([("client.0.rule.0.from", "QUIT"), ("client.0.rule.0.answer", "200 x")]);
    let mistake = Quirks::new(&quit).unwrap_err();
    assert_eq!(mistake, "client.0.rule.0.from: QUIT goes on whatever is said");
}
