//! The whole policy: rules, the list of what everyone is denied, and reworded replies.

use waft_plugin_sdk::{Command, Moment, Reply, Section, Session, Settings, Template};

use crate::commands::{Argument, Pattern, given, number};
use crate::rule::{self, Outcome, Rule};

/// What a refusal says where nothing else is written: that there is no such command.
const DEFAULT_CODE: u16 = 502;

const DEFAULT_TEXT: &str = "Command not implemented.";

/// Clients that offer only active mode should learn what to change.
const DEFAULT_TEXT_ACTIVE: &str =
    "Command not implemented. (ACTIVE mode is not supported - use PASSIVE instead!)";

/// The most words of one verb that the server is told, which compares each with what a client sends.
const WORDS_MAX: usize = 32;

/// Verbs behind which TLS begins or another user comes.
const OF_LOGIN: [&str; 5] = ["ACCT", "AUTH", "PASS", "REIN", "USER"];

/// What the operator has decided.
#[derive(Debug)]
pub struct Policy {
    /// The first that matches counts; the last is `deny`.
    rules: Vec<Rule>,
    /// The verbs that some rule may deny, in the order of their names.
    verbs: Vec<Verb>,
    code: u16,
    message: Option<Template>,
    messages: Vec<Message>,
    /// Texts by reply code.
    replies: Vec<(u16, Template)>,
}

/// A verb, and the rules about it in their order.
#[derive(Debug)]
pub(crate) struct Verb {
    name: String,
    /// What it is found by.
    number: u64,
    is_of_login: bool,
    /// As long as rules are sorted: the others are dropped.
    may_be_denied: bool,
    cases: Vec<Case>,
}

/// What one rule is about, of one verb.
#[derive(Debug)]
struct Case {
    /// Its place in the list of rules.
    rule: usize,
    arguments: Vec<Argument>,
}

/// Whether rules hold in a session. Every question to the session crosses the sandbox's border: no rule
/// asks its own twice.
struct Answers<'a> {
    session: Session<'a>,
    /// By the rules' places, as far as they were asked; empty as long as none was.
    known: Vec<Option<bool>>,
}

/// What a refusal of a command says.
#[derive(Debug)]
struct Message {
    command: Pattern,
    text: Template,
    breadth: Breadth,
}

/// How many commands the operator named with one text: the fewer, the more it counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Breadth {
    Argument,
    Verb,
    Bundle,
}

impl Policy {
    /// Reads the settings.
    ///
    /// # Errors
    /// All that is wrong with them.
    pub fn read(settings: &Settings) -> Result<Self, String> {
        let root = settings.root();
        let mut rules: Vec<_> = root.sections("rule").iter().map(Rule::read).collect();
        let last = Rule {
            condition: rule::Condition::default(),
            outcome: Outcome::Deny { code: None, message: None },
        };
        rules.push((rule::patterns(&root, "deny"), last));
        let (verbs, rules) = by_verb(rules);
        let policy = Self {
            verbs,
            rules,
            code: rule::code(&root, "code").unwrap_or(DEFAULT_CODE),
            message: rule::template(&root, "message"),
            messages: messages(&root),
            replies: replies(&root),
        };
        settings.finish().map(|()| policy)
    }

    /// The commands that some rule may deny: verbs, or verbs with a word, if there are not too many.
    pub(crate) fn denied_commands(&self) -> impl Iterator<Item = String> {
        self.verbs.iter().flat_map(|verb| {
            let denied = self.cases(verb).filter(|(_, rule)| rule.denies());
            let arguments = denied.flat_map(|(case, _)| &case.arguments);
            let some: Vec<_> = arguments.take(WORDS_MAX + 1).collect();
            let all = if some.len() > WORDS_MAX { vec![&Argument::Whatever] } else { some };
            all.into_iter().map(|argument| argument.of(&verb.name))
        })
    }

    /// What is known of a verb, if some rule may deny it.
    pub(crate) fn verb(&self, name: &str) -> Option<&Verb> {
        let number = number(name)?;
        let place = self.verbs.binary_search_by(|verb| verb.number.cmp(&number)).ok()?;
        self.verbs.get(place)
    }

    /// The verbs of which no command of this session is denied, whatever its argument, as long as
    /// what is known of the session stays as it is; none unless the one that was `asked` about is one
    /// of them. On the way to a login only its own: more is known when the others come.
    pub(crate) fn passing_with(&self, session: Session<'_>, asked: &Verb) -> Vec<&str> {
        let mut answers = Answers { session, known: Vec::new() };
        if self.may_deny(asked, &mut answers) {
            return Vec::new();
        }
        let is_meant = |verb: &&Verb| verb.is_of_login || !asked.is_of_login;
        let all = self.verbs.iter().filter(is_meant);
        all.filter(|verb| !self.may_deny(verb, &mut answers))
            .map(|verb| verb.name.as_str())
            .collect()
    }

    /// Whether some command of that verb would be denied.
    fn may_deny(&self, verb: &Verb, answers: &mut Answers<'_>) -> bool {
        for (case, rule) in self.cases(verb) {
            if !answers.holds(case.rule, rule) {
                continue;
            }
            if rule.denies() {
                return true;
            }
            // No rule behind one that allows all of them sees a command of that verb.
            if case.arguments.contains(&Argument::Whatever) {
                return false;
            }
        }
        false
    }

    fn cases<'a>(&'a self, verb: &'a Verb) -> impl Iterator<Item = (&'a Case, &'a Rule)> {
        verb.cases.iter().filter_map(|case| Some((case, self.rules.get(case.rule)?)))
    }

    /// The codes that have another text.
    pub(crate) fn reworded_codes(&self) -> impl Iterator<Item = u16> {
        self.replies.iter().map(|&(code, _)| code)
    }

    /// The refusal of a command of that verb, or `None` where nothing denies it.
    pub(crate) fn denial(
        &self,
        verb: &Verb,
        session: Session<'_>,
        command: &Command,
    ) -> Option<Reply> {
        let given = given(command);
        let is_meant = |case: &Case| case.arguments.iter().any(|meant| meant.matches(given));
        // The session is asked last: every question crosses the sandbox's border.
        let applies =
            |(case, rule): &(&Case, &Rule)| is_meant(case) && rule.condition.holds(session);
        let (_, rule) = self.cases(verb).find(applies)?;
        let Outcome::Deny { code, message } = &rule.outcome else { return None };
        let code = code.unwrap_or(self.code);
        let moment = Moment { session, command, code, original: None };
        let of_the_command = || {
            let fitting = self.messages.iter().filter(|message| message.command.matches(command));
            fitting.min_by_key(|message| message.breadth).map(|message| &message.text)
        };
        let text = message.as_ref().or_else(of_the_command).or(self.message.as_ref());
        Some(text.map_or_else(|| default_reply(moment), |text| text.reply(moment)))
    }

    /// A reply with the operator's text, or `None` where it stays as it is.
    pub(crate) fn reworded(
        &self,
        session: Session<'_>,
        command: &Command,
        reply: &Reply,
    ) -> Option<Reply> {
        let (_, text) = self.replies.iter().find(|(code, _)| *code == reply.code)?;
        // 250 is a plain success for most commands, and carries the facts for this one.
        if command.verb == "MLST" && !text.keeps_original() {
            return None;
        }
        Some(text.reply(Moment { session, command, code: reply.code, original: Some(reply) }))
    }
}

/// The verbs that some of these rules may deny, and the rules themselves; with each rule come the
/// commands that it is about. Sorted into a list: a tree would make the component 8 KB larger,
/// compiled.
fn by_verb(rules: Vec<(Vec<Pattern>, Rule)>) -> (Vec<Verb>, Vec<Rule>) {
    let mut verbs = Vec::<Verb>::new();
    let sort = |(place, (patterns, rule)): (usize, (Vec<Pattern>, Rule))| {
        for Pattern { verb: name, argument } in patterns {
            let Some(number) = number(&name) else { continue };
            let found = verbs.binary_search_by(|verb| verb.number.cmp(&number));
            let at = found.unwrap_or_else(|at| {
                verbs.insert(at, Verb::new(name, number));
                at
            });
            if let Some(verb) = verbs.get_mut(at) {
                verb.note(place, &rule, argument);
            }
        }
        rule
    };
    let rules = rules.into_iter().enumerate().map(sort).collect();
    verbs.retain(|verb| verb.may_be_denied);
    (verbs, rules)
}

impl Verb {
    fn new(name: String, number: u64) -> Self {
        let is_of_login = OF_LOGIN.contains(&name.as_str());
        Self { name, number, is_of_login, may_be_denied: false, cases: Vec::new() }
    }

    /// Notes that the rule at that place is about this verb with such an argument.
    fn note(&mut self, place: usize, rule: &Rule, argument: Argument) {
        self.may_be_denied |= rule.denies();
        match self.cases.last_mut().filter(|case| case.rule == place) {
            Some(case) => case.arguments.push(argument),
            None => self.cases.push(Case { rule: place, arguments: vec![argument] }),
        }
    }
}

impl Answers<'_> {
    /// Whether the rule at that place holds.
    fn holds(&mut self, place: usize, rule: &Rule) -> bool {
        if rule.condition.always_holds() {
            return true;
        }
        if self.known.len() <= place {
            self.known.resize(place + 1, None);
        }
        let ask = || rule.condition.holds(self.session);
        self.known.get_mut(place).is_some_and(|known| *known.get_or_insert_with(ask))
    }
}

fn default_reply(moment: Moment<'_>) -> Reply {
    let active = matches!(moment.command.verb.as_str(), "PORT" | "EPRT");
    Reply::new(moment.code, if active { DEFAULT_TEXT_ACTIVE } else { DEFAULT_TEXT })
}

fn messages(root: &Section<'_>) -> Vec<Message> {
    let mut messages = Vec::new();
    for (name, text) in root.entries("messages") {
        match (Pattern::read(&name), text.parse::<Template>()) {
            (Ok(patterns), Ok(text)) => messages.extend(patterns.into_iter().map(|command| {
                let breadth = match (Pattern::is_bundle(&name), &command.argument) {
                    (true, _) => Breadth::Bundle,
                    (false, Argument::Whatever) => Breadth::Verb,
                    (false, Argument::Some | Argument::Word(_)) => Breadth::Argument,
                };
                Message { command, text: text.clone(), breadth }
            })),
            (Err(mistake), _) | (_, Err(mistake)) => {
                root.mistake(&format!("messages.{name}"), mistake);
            }
        }
    }
    messages
}

fn replies(root: &Section<'_>) -> Vec<(u16, Template)> {
    let mut replies = Vec::new();
    for (name, text) in root.entries("replies") {
        match reply(&name, &text) {
            Ok(reply) => replies.push(reply),
            Err(mistake) => root.mistake(&format!("replies.{name}"), mistake),
        }
    }
    replies
}

fn reply(name: &str, text: &str) -> Result<(u16, Template), String> {
    let code = name.parse().ok().filter(|code| (100..600).contains(code));
    let code = code.ok_or_else(|| format!("not a reply code: {name}"))?;
    Template::for_code(code, text).map(|text| (code, text))
}

#[cfg(test)]
mod tests {
    use waft_plugin_sdk::testing::TestSession;

    use super::*;

    const SERV_U: &str =
        "Command not implemented. (ACTIVE mode is not supported - use PASSIVE instead!)";

    fn policy(values: &[(&str, &str)]) -> Policy {
        Policy::read(&Settings::of(values.iter().copied())).unwrap()
    }

    fn mistakes(values: &[(&str, &str)]) -> Vec<String> {
        let mistakes = Policy::read(&Settings::of(values.iter().copied())).unwrap_err();
        mistakes.lines().map(str::to_owned).collect()
    }

    /// Code and first line of the refusal.
    fn denial(policy: &Policy, session: &TestSession, command: &str) -> Option<(u16, String)> {
        let (verb, arg) = command.split_once(' ').unwrap_or((command, ""));
        let command = Command::new(verb, Some(arg).filter(|arg| !arg.is_empty()));
        let reply = policy.denial(policy.verb(verb)?, session.session(), &command)?;
        Some((reply.code, reply.lines[0].clone()))
    }

    fn refused(code: u16, text: &str) -> Option<(u16, String)> {
        Some((code, text.to_owned()))
    }

    #[test]
    fn without_settings_everything_is_allowed() {
        let policy = policy(&[]);
        assert_eq!(denial(&policy, &TestSession::new(), "PORT 1,2,3,4,5,6"), None);
        assert_eq!(policy.denied_commands().next(), None);
    }

    #[test]
    fn a_denied_bundle_answers_502_with_the_operators_text() {
        let policy = policy(&[("deny.0", "active-mode"), ("message", "passive, please")]);
        let session = TestSession::new();
        assert_eq!(denial(&policy, &session, "PORT 1,2,3,4,5,6"), refused(502, "passive, please"));
        assert_eq!(denial(&policy, &session, "EPRT |1|::|5|"), refused(502, "passive, please"));
        assert_eq!(denial(&policy, &session, "PASV"), None);
        assert_eq!(policy.denied_commands().collect::<Vec<_>>(), ["EPRT", "PORT"]);
    }

    #[test]
    fn a_refusal_of_active_mode_says_what_to_do_by_default() {
        let policy = policy(&[("deny", "active-mode"), ("code", "500")]);
        assert_eq!(denial(&policy, &TestSession::new(), "PORT 1"), refused(500, SERV_U));
    }

    #[test]
    fn the_server_is_told_the_words_that_may_be_denied() {
        let named = |values: &[(&str, &str)]| policy(values).denied_commands().collect::<Vec<_>>();
        let words = [
            ("rule.0.commands.0", "SITE HELP"),
            ("rule.0.commands.1", "DELE"),
            ("rule.0.allow", "true"),
            ("deny.0", "site chmod"),
            ("deny.1", "STAT *"),
            ("deny.2", "DELE a"),
            ("deny.3", "SITE UTIME"),
        ];
        assert_eq!(named(&words), ["DELE A", "SITE CHMOD", "SITE UTIME", "STAT *"]);
        let files = |count| {
            let file = |number: usize| (format!("deny.{number}"), format!("STOR {number}"));
            let settings = Settings::of((0..count).map(file));
            Policy::read(&settings).unwrap().denied_commands().collect::<Vec<_>>()
        };
        assert_eq!(files(WORDS_MAX).len(), WORDS_MAX);
        assert_eq!(files(WORDS_MAX + 1), ["STOR"]);
    }

    #[test]
    fn the_narrowest_text_is_taken() {
        let policy = policy(&[
            ("deny.0", "site"),
            ("deny.1", "upload"),
            ("message", "all"),
            ("messages.SITE", "site {arg}"),
            ("messages.SITE CHMOD", "chmod"),
            ("messages.upload", "upload"),
            ("messages.APPE", "append"),
        ]);
        let session = TestSession::new();
        assert_eq!(denial(&policy, &session, "SITE CHMOD 1 a"), refused(502, "chmod"));
        assert_eq!(denial(&policy, &session, "SITE HELP"), refused(502, "site HELP"));
        assert_eq!(denial(&policy, &session, "APPE a"), refused(502, "append"));
        assert_eq!(denial(&policy, &session, "STOR a"), refused(502, "upload"));
    }

    #[test]
    fn the_first_rule_that_matches_counts() {
        let policy = policy(&[
            ("rule.0.commands", "write"),
            ("rule.0.users.0", "root"),
            ("rule.0.allow", "true"),
            ("rule.1.commands.0", "DELE"),
            ("rule.1.code", "550"),
            ("rule.1.message", "{user} may not delete"),
            ("deny", "write"),
        ]);
        let alice = TestSession::new().user("alice");
        assert_eq!(denial(&policy, &alice, "DELE a"), refused(550, "alice may not delete"));
        assert_eq!(denial(&policy, &alice, "STOR a"), refused(502, DEFAULT_TEXT));
        assert_eq!(denial(&policy, &TestSession::new().user("root"), "DELE a"), None);
    }

    #[test]
    fn users_networks_and_tls_must_all_hold() {
        let policy = policy(&[
            ("rule.0.commands", "STOR"),
            ("rule.0.users.0", "alice"),
            ("rule.0.networks.0", "10.0.0.0/8"),
            ("rule.0.networks.1", "2001:db8::/32"),
            ("rule.0.tls", "false"),
            ("rule.0.code", "534"),
        ]);
        let denied = |session: &TestSession| denial(&policy, session, "STOR a").is_some();
        let alice = TestSession::new().user("alice").remote_ip("10.1.1.1");
        assert!(denied(&alice));
        assert!(denied(&alice.clone().remote_ip("2001:db8::5")));
        assert!(!denied(&alice.clone().remote_ip("192.0.2.1")));
        assert!(!denied(&alice.clone().user("bob")));
        assert!(!denied(&alice.tls()));
        assert!(!denied(&TestSession::new().remote_ip("10.1.1.1")));
    }

    #[test]
    fn verbs_pass_in_a_session_where_no_rule_that_holds_may_deny_them() {
        let policy = policy(&[
            ("rule.0.commands", "write"),
            ("rule.0.users.0", "root"),
            ("rule.0.allow", "true"),
            ("rule.1.commands.0", "SITE CHMOD"),
            ("rule.1.networks.0", "10.0.0.0/8"),
            ("rule.1.allow", "true"),
            ("rule.2.commands.0", "NOOP"),
            ("rule.2.users.0", "alice"),
            ("deny.0", "DELE"),
            ("deny.1", "site"),
        ]);
        let passing = |session: &TestSession, verb: &str| {
            let verbs = policy.passing_with(session.session(), policy.verb(verb).unwrap());
            verbs.into_iter().map(str::to_owned).collect::<Vec<_>>()
        };
        let (alice, root) = (TestSession::new().user("alice"), TestSession::new().user("root"));
        assert_eq!(passing(&alice, "NOOP"), [""; 0]);
        assert_eq!(passing(&alice, "DELE"), [""; 0]);
        assert_eq!(passing(&root, "NOOP"), ["DELE", "NOOP"]);
        assert_eq!(passing(&root, "DELE"), ["DELE", "NOOP"]);
        // One that only some argument of is allowed.
        assert_eq!(passing(&root.remote_ip("10.1.1.1"), "SITE"), [""; 0]);
        assert_eq!(passing(&TestSession::new(), "NOOP"), ["NOOP"]);
    }

    #[test]
    fn many_rules_about_other_users_are_asked_once_each() {
        let rules = (0..500).flat_map(|number| {
            let rule = |key, value: String| (format!("rule.{number}.{key}"), value);
            [rule("commands", "write".to_owned()), rule("users.0", format!("user-{number}"))]
        });
        let policy = Policy::read(&Settings::of(rules)).unwrap();
        let session = TestSession::new().user("alice");
        let verb = policy.verb("STOR").unwrap();
        let mut answers = Answers { session: session.session(), known: Vec::new() };
        assert!(!policy.may_deny(verb, &mut answers));
        assert_eq!(answers.known, vec![Some(false); 500]);
        assert!(policy.passing_with(session.session(), verb).contains(&"DELE"));
        let last = TestSession::new().user("user-499");
        assert!(policy.passing_with(last.session(), verb).is_empty());
    }

    #[test]
    fn on_the_way_to_a_login_only_its_own_verbs_pass() {
        let policy = policy(&[
            ("rule.0.commands.0", "NOOP"),
            ("rule.0.commands.1", "PASS"),
            ("rule.0.commands.2", "USER"),
            ("rule.0.users.0", "alice"),
        ]);
        let session = TestSession::new();
        let passing = |verb| policy.passing_with(session.session(), policy.verb(verb).unwrap());
        assert_eq!(passing("USER"), ["PASS", "USER"]);
        assert_eq!(passing("NOOP"), ["NOOP", "PASS", "USER"]);
    }

    #[test]
    fn a_rule_may_ask_for_tls_in_words() {
        let policy = policy(&[("rule.0.commands", "RETR"), ("rule.0.tls", "on")]);
        assert!(denial(&policy, &TestSession::new().tls(), "RETR a").is_some());
        assert!(denial(&policy, &TestSession::new(), "RETR a").is_none());
    }

    #[test]
    fn a_reply_gets_the_text_of_its_code() {
        let policy =
            policy(&[("replies.226", "{original}\nthank you, {user}"), ("replies.250", "done")]);
        let session = TestSession::new().user("alice");
        let reworded = |verb: &str, code: u16| {
            let command = Command::new(verb, None);
            policy.reworded(session.session(), &command, &Reply::new(code, "fine"))
        };
        assert_eq!(
            reworded("STOR", 226),
            Some(Reply { code: 226, lines: vec!["fine".into(), "thank you, alice".into()] })
        );
        assert_eq!(reworded("CWD", 250), Some(Reply::new(250, "done")));
        assert_eq!(reworded("MLST", 250), None);
        assert_eq!(reworded("STOR", 550), None);
        assert_eq!(policy.reworded_codes().collect::<Vec<_>>(), [226, 250]);
    }

    #[test]
    fn all_mistakes_are_reported_at_once() {
        let mistakes = mistakes(&[
            ("rule.0.commands.0", "DELL"),
            ("rule.0.networks.0", "10.0.0.0/99"),
            ("rule.0.tls", "maybe"),
            ("rule.0.code", "421"),
            ("rule.1.users.0", "x"),
            ("rule.1.allow", "true"),
            ("rule.1.message", "y"),
            ("deny.0", "QUIT"),
            ("code", "200"),
            ("message", "{original}"),
            ("messages.PORTS", "x"),
            ("messages.PORT", "{x}"),
            ("replies.99", "x"),
            ("replies.227", "x"),
            ("mesage", "x"),
        ]);
        assert_eq!(
            mistakes,
            [
                "rule.0.commands.0: no command or bundle, did you mean DELE: DELL",
                "rule.0.networks.0: not a network such as 10.0.0.0/8: 10.0.0.0/99",
                "rule.0.tls: true or false is wanted, not: maybe",
                "rule.0.code: a refusal has a code from 400 to 599, \
                 and 421 closes the session: 421",
                "rule.1: no commands",
                "rule.1: a rule that allows has no code and no message",
                "deny.0: cannot be denied: QUIT",
                "code: a refusal has a code from 400 to 599, and 421 closes the session: 200",
                "message: a refusal replaces nothing, so there is no {original}",
                "messages.PORTS: no command or bundle, did you mean PORT: PORTS",
                "messages.PORT: unknown variable: {x}",
                "replies.99: not a reply code: 99",
                "replies.227: clients read this reply: its text must hold {original}",
                "unknown key, did you mean message: mesage",
            ]
        );
    }
}
