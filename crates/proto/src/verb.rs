//! The command table: what is known of each verb before its argument is looked at.
//!
//! The login gate, HELP, FEAT, the permission check, the rules for plugins and the documentation
//! are derived from [`TABLE`]. A list of verbs anywhere else is a missing column here.

use std::fmt;

/// How many arguments a verb takes. The argument is everything behind the first space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Argument {
    /// An argument is a syntax error (501).
    None,
    /// With or without.
    Optional,
    /// Without one: 501.
    Required,
    /// Whatever stands there is passed over: the command must never be refused for its form.
    Ignored,
}

/// When a verb may be given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// At any time.
    Any,
    /// Only once logged in; before that 530.
    LoggedIn,
}

/// What a verb does to the data connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Data {
    /// Nothing.
    None,
    /// Prepares one (PASV, PORT, ...).
    Setup,
    /// Moves bytes over one.
    Transfer,
}

/// What an account must be allowed for a verb to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Nothing in particular.
    Free,
    /// Seeing names and facts.
    List,
    /// Reading contents.
    Read,
    /// Creating or replacing files, changing facts.
    Write,
    /// Adding to files that exist.
    Append,
    /// Deleting files and directories.
    Delete,
    /// Renaming.
    Rename,
    /// Making directories.
    Mkdir,
}

/// What happens to a command that arrives while a transfer runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DuringTransfer {
    /// It waits, and is answered in order behind the transfer's final reply.
    Waits,
    /// It acts at once (RFC 959, section 4.1.3).
    Acts,
}

/// How far a plugin's verdict on a verb reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PluginReach {
    /// Plugins see it; their verdict is ignored (QUIT, ABOR).
    Observe,
    /// It may be refused (4yz, 5yz) but neither answered otherwise nor rewritten nor rewritten to:
    /// both ends keep state by it, and only the server can do what another answer promises.
    Deny,
    /// It may be answered but neither rewritten nor rewritten to.
    Answer,
    /// It may be answered or rewritten.
    Rewrite,
}

/// One row of the command table.
#[derive(Debug)]
pub struct Spec {
    /// The verb.
    pub verb: Verb,
    /// Its name on the wire, upper case.
    pub name: &'static str,
    /// How many arguments it takes.
    pub argument: Argument,
    /// When it may be given.
    pub phase: Phase,
    /// What it does to the data connection.
    pub data: Data,
    /// What the account must be allowed.
    pub access: Access,
    /// What happens to it while a transfer runs.
    pub during_transfer: DuringTransfer,
    /// How far a plugin's verdict reaches.
    pub plugin: PluginReach,
    /// Known but not implemented here: 502.
    pub missing: bool,
    /// Where it is specified.
    pub source: &'static str,
    /// Its arguments as HELP shows them.
    pub syntax: &'static str,
    /// One line for HELP.
    pub help: &'static str,
}

/// The server's own commands of SITE, with what HELP says of them.
pub const SITE_COMMANDS: &[(&str, &str)] = &[
    ("CHMOD", "CHMOD <mode> <path>"),
    ("HELP", "HELP"),
    ("UTIME", "UTIME <YYYYMMDDhhmm[ss]> <path>"),
];

macro_rules! verbs {
    ($( $variant:ident $name:literal $argument:ident $phase:ident $data:ident $access:ident
        $during:ident $plugin:ident $implemented:ident $source:literal $syntax:literal $help:literal; )*) => {
        /// A verb that the table knows.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum Verb {
            $( #[doc = $help] $variant, )*
        }

        /// The command table, one row a verb, in the order of [`Verb`].
        pub static TABLE: &[Spec] = &[
            $( Spec {
                verb: Verb::$variant,
                name: $name,
                argument: Argument::$argument,
                phase: Phase::$phase,
                data: Data::$data,
                access: Access::$access,
                during_transfer: DuringTransfer::$during,
                plugin: PluginReach::$plugin,
                missing: missing!($implemented),
                source: $source,
                syntax: $syntax,
                help: $help,
            }, )*
        ];

        impl Verb {
            /// The verb of that name; ASCII case does not matter.
            pub fn from_name(name: &[u8]) -> Option<Verb> {
                let mut upper = [0_u8; NAME_BYTES_MAX];
                let upper = upper.get_mut(..name.len())?;
                upper.copy_from_slice(name);
                upper.make_ascii_uppercase();
                match std::str::from_utf8(upper).ok()? {
                    $( $name => Some(Verb::$variant), )*
                    _ => None,
                }
            }
        }
    };
}

macro_rules! missing {
    (Yes) => {
        false
    };
    (No) => {
        true
    };
}

/// The longest name in the table.
const NAME_BYTES_MAX: usize = 8;

#[rustfmt::skip]
verbs! {
    // variant name   argument phase    data     access during plugin  here  source  syntax  help
    Abor "ABOR"       Ignored  LoggedIn None     Free   Acts  Observe Yes "RFC 959, 4.1.3"  "" "Abort the transfer in progress";
    Acct "ACCT"       Required Any      None     Free   Waits Deny    Yes "RFC 959, 4.1.1"  "<account>" "Name an account (superfluous)";
    Adat "ADAT"       Optional Any      None     Free   Waits Deny    No  "RFC 2228, 3"     "<data>" "Authentication data";
    Allo "ALLO"       Required LoggedIn None     Write  Waits Rewrite Yes "RFC 959, 4.1.3"  "<bytes> [R <record>]" "Ask whether there is space for a file";
    Appe "APPE"       Required LoggedIn Transfer Append Waits Rewrite Yes "RFC 959, 4.1.3"  "<path>" "Upload to the end of a file";
    Auth "AUTH"       Required Any      None     Free   Waits Deny    Yes "RFC 4217, 4"     "TLS" "Start TLS on the control connection";
    Avbl "AVBL"       Optional LoggedIn None     List   Waits Rewrite Yes "draft-peterson-streamlined-ftp-command-extensions, 4" "[<path>]" "Tell the space available";
    Ccc  "CCC"        None     Any      None     Free   Waits Deny    Yes "RFC 4217, 5"     "" "End TLS on the control connection";
    Cdup "CDUP"       None     LoggedIn None     Free   Waits Rewrite Yes "RFC 959, 4.1.1"  "" "Change to the parent directory";
    Clnt "CLNT"       Optional Any      None     Free   Waits Rewrite Yes "de facto"        "<client>" "Name the client program";
    Conf "CONF"       Optional Any      None     Free   Waits Deny    No  "RFC 2228, 3"     "<data>" "Confidential command";
    Csid "CSID"       Optional Any      None     Free   Waits Rewrite Yes "draft-peterson-streamlined-ftp-command-extensions, 2" "<name=value;...>" "Exchange names of client and server";
    Cwd  "CWD"        Required LoggedIn None     Free   Waits Rewrite Yes "RFC 959, 4.1.1"  "<path>" "Change the working directory";
    Dele "DELE"       Required LoggedIn None     Delete Waits Rewrite Yes "RFC 959, 4.1.3"  "<path>" "Delete a file";
    Enc  "ENC"        Optional Any      None     Free   Waits Deny    No  "RFC 2228, 3"     "<data>" "Private command";
    Eprt "EPRT"       Required LoggedIn Setup    Free   Waits Deny    Yes "RFC 2428, 2"     "|<family>|<address>|<port>|" "Name the client's data address (active)";
    Epsv "EPSV"       Optional LoggedIn Setup    Free   Waits Deny    Yes "RFC 2428, 3"     "[<family>|ALL]" "Listen for a data connection (passive)";
    Feat "FEAT"       None     Any      None     Free   Waits Answer  Yes "RFC 2389, 3"     "" "List the extensions";
    Hash "HASH"       Required LoggedIn None     Read   Waits Rewrite Yes "draft-ietf-ftpext2-hash-03, 3" "<path>" "Tell a file's checksum";
    Help "HELP"       Optional Any      None     Free   Waits Rewrite Yes "RFC 959, 4.1.3"  "[<command>]" "Tell which commands there are";
    Host "HOST"       Required Any      None     Free   Waits Deny    Yes "RFC 7151, 3"     "<name>" "Choose a virtual host";
    Lang "LANG"       Optional Any      None     Free   Waits Rewrite Yes "RFC 2640, 4.1"   "[<tag>]" "Choose the language of replies";
    List "LIST"       Optional LoggedIn Transfer List   Waits Rewrite Yes "RFC 959, 4.1.3"  "[<path>]" "List a directory, for people";
    Lprt "LPRT"       Optional LoggedIn Setup    Free   Waits Deny    No  "RFC 1639"        "<address>" "Name a long data address";
    Lpsv "LPSV"       Optional LoggedIn Setup    Free   Waits Deny    No  "RFC 1639"        "" "Listen, with a long address";
    Mdtm "MDTM"       Required LoggedIn None     List   Waits Rewrite Yes "RFC 3659, 3"     "<path>" "Tell when a file was last modified";
    Mfct "MFCT"       Required LoggedIn None     Write  Waits Rewrite Yes "draft-somers-ftp-mfxx-04, 4" "<time> <path>" "Set a file's creation time";
    Mff  "MFF"        Required LoggedIn None     Write  Waits Rewrite Yes "draft-somers-ftp-mfxx-04, 5" "<fact=value;...> <path>" "Set facts of a file";
    Mfmt "MFMT"       Required LoggedIn None     Write  Waits Rewrite Yes "draft-somers-ftp-mfxx-04, 3" "<time> <path>" "Set a file's modification time";
    Mic  "MIC"        Optional Any      None     Free   Waits Deny    No  "RFC 2228, 3"     "<data>" "Integrity-protected command";
    Mkd  "MKD"        Required LoggedIn None     Mkdir  Waits Rewrite Yes "RFC 959, 4.1.3"  "<path>" "Make a directory";
    Mlsd "MLSD"       Optional LoggedIn Transfer List   Waits Rewrite Yes "RFC 3659, 7"     "[<path>]" "List a directory, for programs";
    Mlst "MLST"       Optional LoggedIn None     List   Waits Rewrite Yes "RFC 3659, 7"     "[<path>]" "Tell the facts of a file";
    Mode "MODE"       Required LoggedIn None     Free   Waits Deny    Yes "RFC 959, 4.1.2"  "S|Z" "Choose the transfer mode";
    Nlst "NLST"       Optional LoggedIn Transfer List   Waits Rewrite Yes "RFC 959, 4.1.3"  "[<path>]" "List names";
    Noop "NOOP"       Ignored  Any      None     Free   Waits Rewrite Yes "RFC 959, 4.1.3"  "" "Do nothing";
    Opts "OPTS"       Required Any      None     Free   Waits Answer  Yes "RFC 2389, 4"     "<command> [<options>]" "Set options of a command";
    Pass "PASS"       Optional Any      None     Free   Waits Deny    Yes "RFC 959, 4.1.1"  "<password>" "Prove the identity";
    Pasv "PASV"       None     LoggedIn Setup    Free   Waits Deny    Yes "RFC 959, 4.1.2"  "" "Listen for a data connection (passive, IPv4)";
    Pbsz "PBSZ"       Required Any      None     Free   Waits Deny    Yes "RFC 4217, 8"     "0" "Set the protection buffer size";
    Port "PORT"       Required LoggedIn Setup    Free   Waits Deny    Yes "RFC 959, 4.1.2"  "<h1,h2,h3,h4,p1,p2>" "Name the client's data address (active, IPv4)";
    Prot "PROT"       Required Any      None     Free   Waits Deny    Yes "RFC 4217, 9"     "C|P" "Choose the data connections' protection";
    Pwd  "PWD"        None     LoggedIn None     Free   Waits Rewrite Yes "RFC 959, 4.1.3"  "" "Tell the working directory";
    Quit "QUIT"       Ignored  Any      None     Free   Waits Observe Yes "RFC 959, 4.1.1"  "" "End the session";
    Rang "RANG"       Required LoggedIn None     Free   Waits Deny    Yes "draft-bryan-ftp-range-08" "<first> <last>" "Choose the bytes that the next command is about";
    Rein "REIN"       None     Any      None     Free   Waits Deny    Yes "RFC 959, 4.1.1"  "" "Start over, without login";
    Rest "REST"       Required LoggedIn None     Free   Waits Deny    Yes "RFC 3659, 5"     "<offset>" "Choose where the next transfer begins";
    Retr "RETR"       Required LoggedIn Transfer Read   Waits Rewrite Yes "RFC 959, 4.1.3"  "<path>" "Download a file";
    Rmd  "RMD"        Required LoggedIn None     Delete Waits Rewrite Yes "RFC 959, 4.1.3"  "<path>" "Remove an empty directory";
    Rnfr "RNFR"       Required LoggedIn None     Rename Waits Rewrite Yes "RFC 959, 4.1.3"  "<path>" "Name what to rename";
    Rnto "RNTO"       Required LoggedIn None     Rename Waits Rewrite Yes "RFC 959, 4.1.3"  "<path>" "Rename what RNFR named";
    Site "SITE"       Required LoggedIn None     Free   Waits Answer  Yes "RFC 959, 4.1.3"  "<command>" "Commands of this server";
    Size "SIZE"       Required LoggedIn None     List   Waits Rewrite Yes "RFC 3659, 4"     "<path>" "Tell how many bytes a transfer would move";
    Smnt "SMNT"       Optional LoggedIn None     Free   Waits Answer  No  "RFC 959, 4.1.1"  "<path>" "Mount a file system";
    Stat "STAT"       Optional Any      None     Free   Acts  Answer  Yes "RFC 959, 4.1.3"  "[<path>]" "Tell the session's state, or list on the control connection";
    Stor "STOR"       Required LoggedIn Transfer Write  Waits Rewrite Yes "RFC 959, 4.1.3"  "<path>" "Upload a file";
    Stou "STOU"       Optional LoggedIn Transfer Write  Waits Rewrite Yes "RFC 959, 4.1.3"  "[<path>]" "Upload under a name of the server's choice";
    Stru "STRU"       Required LoggedIn None     Free   Waits Deny    Yes "RFC 959, 4.1.2"  "F" "Choose the file structure";
    Syst "SYST"       None     Any      None     Free   Waits Rewrite Yes "RFC 959, 4.1.3"  "" "Tell the kind of system";
    Type "TYPE"       Required LoggedIn None     Free   Waits Deny    Yes "RFC 959, 4.1.2"  "A|I|L 8" "Choose the representation";
    User "USER"       Required Any      None     Free   Waits Deny    Yes "RFC 959, 4.1.1"  "<name>" "Tell who logs in";
    Xcrc "XCRC"       Required LoggedIn None     Read   Waits Rewrite Yes "de facto"        "<path>" "Tell a file's CRC-32";
    Xcup "XCUP"       None     LoggedIn None     Free   Waits Rewrite Yes "RFC 775"         "" "Change to the parent directory";
    Xcwd "XCWD"       Required LoggedIn None     Free   Waits Rewrite Yes "RFC 775"         "<path>" "Change the working directory";
    Xmd5 "XMD5"       Required LoggedIn None     Read   Waits Rewrite Yes "de facto"        "<path>" "Tell a file's MD5";
    Xmkd "XMKD"       Required LoggedIn None     Mkdir  Waits Rewrite Yes "RFC 775"         "<path>" "Make a directory";
    Xpwd "XPWD"       None     LoggedIn None     Free   Waits Rewrite Yes "RFC 775"         "" "Tell the working directory";
    Xrmd "XRMD"       Required LoggedIn None     Delete Waits Rewrite Yes "RFC 775"         "<path>" "Remove an empty directory";
    Xsha "XSHA"       Required LoggedIn None     Read   Waits Rewrite Yes "de facto"        "<path>" "Tell a file's SHA-1";
    Xsha1 "XSHA1"     Required LoggedIn None     Read   Waits Rewrite Yes "de facto"        "<path>" "Tell a file's SHA-1";
    Xsha256 "XSHA256" Required LoggedIn None     Read   Waits Rewrite Yes "de facto"        "<path>" "Tell a file's SHA-256";
    Xsha512 "XSHA512" Required LoggedIn None     Read   Waits Rewrite Yes "de facto"        "<path>" "Tell a file's SHA-512";
}

impl Spec {
    /// The verb with its arguments: `STOR <path>`, `NOOP`.
    pub fn usage(&self) -> String {
        match self.syntax {
            "" => self.name.to_owned(),
            syntax => format!("{} {syntax}", self.name),
        }
    }

    /// Whether a plugin may say no in place of the server, and nothing else: what is more than
    /// words is for the server to do, and so is all that has to do with data connections.
    pub const fn is_refused_only(&self) -> bool {
        matches!(self.plugin, PluginReach::Deny) || !matches!(self.data, Data::None)
    }
}

impl Verb {
    /// The verb's row of the table.
    #[expect(clippy::indexing_slicing, reason = "the macro makes one row a variant, in order")]
    pub const fn spec(self) -> &'static Spec {
        &TABLE[self as usize]
    }

    /// The verb's name on the wire, upper case.
    pub const fn name(self) -> &'static str {
        self.spec().name
    }

    /// Whether the argument is a secret: it never reaches a log or a plugin.
    pub const fn is_secret(self) -> bool {
        matches!(self, Verb::Pass | Verb::Acct | Verb::Adat)
    }
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A set of verbs: one bit each, and one for all verbs that the table does not know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VerbSet(u128);

impl VerbSet {
    /// No verb.
    pub const EMPTY: VerbSet = VerbSet(0);
    /// Every verb, known or not.
    pub const ALL: VerbSet = VerbSet(u128::MAX);

    const UNKNOWN: u128 = 1 << 127;

    /// Adds a known verb.
    pub const fn insert(&mut self, verb: Verb) {
        self.0 |= 1 << verb as u8;
    }

    /// Adds all verbs that the table does not know.
    pub const fn insert_unknown(&mut self) {
        self.0 |= VerbSet::UNKNOWN;
    }

    /// Whether the verb is in the set; `None` stands for a verb that the table does not know.
    pub const fn contains(self, verb: Option<Verb>) -> bool {
        let bit = match verb {
            Some(verb) => 1 << verb as u8,
            None => VerbSet::UNKNOWN,
        };
        self.0 & bit != 0
    }

    /// The verbs of either set.
    #[must_use]
    pub const fn union(self, other: VerbSet) -> VerbSet {
        VerbSet(self.0 | other.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_the_order_of_the_enum_and_sorted_by_name() {
        for (index, row) in TABLE.iter().enumerate() {
            assert_eq!(row.verb as usize, index, "{}", row.name);
            assert!(row.name.len() <= NAME_BYTES_MAX, "{}", row.name);
            assert_eq!(row.verb.spec().name, row.name);
        }
        assert!(TABLE.is_sorted_by_key(|row| row.name));
        assert!(TABLE.len() < 127, "VerbSet has 127 bits for known verbs");
    }

    #[test]
    fn names_are_found_in_any_ascii_case_and_nothing_else_is() {
        for row in TABLE {
            assert_eq!(Verb::from_name(row.name.as_bytes()), Some(row.verb));
            assert_eq!(Verb::from_name(row.name.to_lowercase().as_bytes()), Some(row.verb));
        }
        for name in [&b""[..], b"RET", b"RETRX", b"\xd2ETR", b"NOOPNOOPNOOP"] {
            assert_eq!(Verb::from_name(name), None);
        }
    }

    #[test]
    fn every_command_that_the_iana_registry_calls_mandatory_is_here() {
        let mandatory = "ABOR ACCT ALLO APPE CWD DELE HELP LIST MODE NLST NOOP PASS PASV PORT QUIT \
             REIN REST RETR RNFR RNTO SITE STAT STOR STRU TYPE USER";
        for name in mandatory.split_whitespace() {
            let verb = Verb::from_name(name.as_bytes()).expect(name);
            assert!(!verb.spec().missing, "{name}");
        }
    }

    #[test]
    fn verbs_that_hold_state_or_data_connections_are_refused_only() {
        let refused: Vec<&str> =
            TABLE.iter().filter(|row| row.is_refused_only()).map(|row| row.name).collect();
        let expected = "ACCT ADAT APPE AUTH CCC CONF ENC EPRT EPSV HOST LIST LPRT LPSV MIC MLSD MODE \
             NLST PASS PASV PBSZ PORT PROT RANG REIN REST RETR STOR STOU STRU TYPE USER";
        assert_eq!(refused.join(" "), expected);
    }

    #[test]
    fn the_page_of_command_filters_names_all_verbs_of_limited_reach() {
        let page = include_str!("../../../docs/plugins/command-filter.md");
        let page = page.split_whitespace().collect::<Vec<_>>().join(" ");
        let has_row = |is: &dyn Fn(&Spec) -> bool, verdicts: &str| {
            let names: Vec<&str> = TABLE.iter().filter(|row| is(row)).map(|row| row.name).collect();
            let row = format!("| {} {verdicts}", names.join(", "));
            assert!(page.contains(&row), "{row}");
        };
        has_row(&|row| row.plugin == PluginReach::Deny, "| no | 4yz, 5yz |");
        has_row(
            &|row| row.plugin == PluginReach::Rewrite && row.is_refused_only(),
            "| to another verb that may be rewritten | 4yz, 5yz |",
        );
        has_row(&|row| row.plugin == PluginReach::Answer, "| no | 2yz, 4yz, 5yz |");
    }

    #[test]
    fn a_verb_set_tells_known_from_unknown() {
        let mut set = VerbSet::EMPTY;
        set.insert(Verb::Retr);
        assert!(set.contains(Some(Verb::Retr)));
        assert!(!set.contains(Some(Verb::Stor)));
        assert!(!set.contains(None));
        set.insert_unknown();
        assert!(set.contains(None));
        assert!(VerbSet::ALL.contains(Some(Verb::Xsha512)));
    }
}
