//! Every section and key of the configuration: THE table.
//!
//! One row is one key: documentation (which is the reference), the type that consumers see, the
//! kind of value that operators write, the default. Sections with `section!` can be left out;
//! those with `entry!` have keys that must be there once the section is.
//!
//! What concerns more than one key is not here but in [`check`](crate::check).

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;

use crate::kind::{
    Address, Advertised, Amount, Attributes, CallLimits, ClientDirectory, Count, Deadline,
    FileName, Flag, Free, HostName, InstanceCount, Limit, Lines, List, MailAddress, Many, Maybe,
    Mode, Name, Network, Number, Password, Ports, Rights, Room, Secrets, SecureUrl, Sha256, Share,
    Size, Spool, Sub, Time, Word,
};
use crate::password::PasswordHash;
use crate::permissions::Permissions;
use crate::schema::{entry, section};
use crate::types::{
    AcmeChallenge, ActiveMode, Ascii, CertificateLogin, ClientCertificates, CloseNotify,
    DataProtection, HiddenFiles, Interrupted, Isolation, LogFormat, LogLevel, OnError, OnLoadError,
    PassiveAddress, PortRange, Scheduling, Settings, TlsMode, TlsResumption, TlsVersion, Unlisted,
};
use crate::value::Node;

section! {
    /// Everything that may stand in `waft.toml` and in `conf.d/*.toml` beside it.
    pub(crate) struct Document {
        /// The server as a whole.
        server: Server as Sub<Server> = Server::default(),
        /// What is logged.
        log: Log as Sub<Log> = Log::default(),
        /// How much of everything.
        limits: Limits as Sub<Limits> = Limits::default(),
        /// How long for everything.
        timeouts: Timeouts as Sub<Timeouts> = Timeouts::default(),
        /// Where clients connect.
        listener: Vec<Listener> as Many<Listener> = Vec::new(),
        /// The certificate.
        tls: Option<Tls> as Maybe<Sub<Tls>> = None,
        /// Data connections that clients open.
        passive: Passive as Sub<Passive> = Passive::default(),
        /// Data connections that the server opens.
        active: Active as Sub<Active> = Active::default(),
        /// How logging in is guarded.
        login: Login as Sub<Login> = Login::default(),
        /// Files on their way in and out.
        transfers: Transfers as Sub<Transfers> = Transfers::default(),
        /// Logins without a password.
        anonymous: Option<Anonymous> as Maybe<Sub<Anonymous>> = None,
        /// Accounts in a file of their own.
        users: Users as Sub<Users> = Users::default(),
        /// Accounts.
        user: Vec<User> as Many<User> = Vec::new(),
        /// Storages of plugins under paths that every account has.
        mount: Vec<Mount> as Many<Mount> = Vec::new(),
        /// Plugins as a whole.
        plugins: Plugins as Sub<Plugins> = Plugins::default(),
        /// What operators ask of the running server.
        control: Control as Sub<Control> = Control::default(),
        /// Numbers for a monitoring system.
        metrics: Metrics as Sub<Metrics> = Metrics::default(),
        /// Plugins, one by one.
        plugin: Vec<Plugin> as Many<Plugin> = Vec::new(),
    }
}

section! {
    /// Everything that may stand in a users file.
    pub(crate) struct UsersDocument {
        /// Accounts.
        user: Vec<User> as Many<User> = Vec::new(),
    }
}

section! {
    /// The server as a whole.
    pub struct Server {
        /// The name of the server, as the greeting tells it.
        name: String as Name = "waft".to_owned(),
        /// The greeting instead of the usual one; `\n` starts a new line.
        greeting: Vec<String> as Lines = Vec::new(); "the name, and that it is ready",
        /// Threads that serve sessions at work, at most; 0 means 16 for each processor. Those that are idle
        /// share one more.
        worker_threads: Option<u32> as Limit<Number<0, 1024>> = None,
        /// How the server's threads get a processor. What was chosen for the process from outside, such as
        /// `CPUSchedulingPolicy=` or `CPUAffinity=` of a systemd unit, stays in force. The system calls
        /// `sched_setscheduler` and `sched_setaffinity` are made for it: filters that kill for them
        /// (`SystemCallFilter=`) want "inherited".
        scheduling: Scheduling as Word<Scheduling> = Scheduling::Batch,
        /// Directory for what the server keeps from one run to the next, such as compiled plugins, on a
        /// local disk: they run from there, and nobody else may write to them. It must not be within the
        /// root of any account, nor within what a plugin is granted for files.
        state: Option<PathBuf> as Maybe<FileName> = None; "nothing is kept",
        /// The user that the server becomes once it listens, where it was started as root.
        run_as: Option<String> as Maybe<Name> = None; "it stays who it is",
    }
}

section! {
    /// What is logged. Passwords never are.
    pub struct Log {
        /// How the log is written.
        format: LogFormat as Word<LogFormat> = LogFormat::Human,
        /// What is important enough.
        level: LogLevel as Word<LogLevel> = LogLevel::Info,
    }
}

section! {
    /// How much of everything. 0 means that there is no limit, where it is allowed.
    pub struct Limits {
        /// Sessions at the same time.
        sessions: Option<u32> as Limit<Count> = Some(10_000),
        /// Sessions at the same time from one address.
        sessions_per_address: Option<u32> as Limit<Count> = Some(200),
        /// Sessions at the same time of one account, where the account does not say otherwise.
        sessions_per_user: Option<u32> as Limit<Count> = None,
        /// Failed logins in one session; the last one is answered with 421 and the end.
        login_attempts: Option<u32> as Limit<Count> = Some(3),
        /// Length of a command line. Longer ones are answered with 500 and thrown away.
        line_bytes: u64 as Amount = 8 << 10,
        /// Entries in one listing. A longer one ends with an error, never in silence.
        listing_entries: Option<u32> as Limit<Count> = None,
        /// Length of a STAT listing on the control connection.
        stat_bytes: u64 as Amount = 256 << 10,
        /// Commands that may wait while a transfer runs.
        waiting_commands: u32 as Number<1, 10_000> = 64,
        /// Files whose HASH or checksum is computed at the same time, in all sessions.
        hashes: u32 as Number<1, 1024> = 4,
        /// Length of a file whose SIZE is computed while TYPE A holds.
        ascii_size_bytes: u64 as Size = 16 << 20,
    }
}

section! {
    /// How long for everything. 0 means for ever, where it is allowed.
    pub struct Timeouts {
        /// From the connection to the end of the login.
        login: Option<Duration> as Limit<Time> = Some(Duration::from_secs(60)),
        /// Without a command and without a transfer.
        idle: Option<Duration> as Limit<Time> = Some(Duration::from_secs(600)),
        /// From the transfer command to the data connection of the client.
        data_accept: Duration as Deadline = Duration::from_secs(20),
        /// For the data connection that the server opens in active mode.
        data_connect: Duration as Deadline = Duration::from_secs(10),
        /// For a TLS handshake.
        tls_handshake: Duration as Deadline = Duration::from_secs(20),
        /// A transfer that moves no byte.
        stall: Option<Duration> as Limit<Time> = Some(Duration::from_secs(120)),
        /// A reply that the client does not read.
        reply: Option<Duration> as Limit<Time> = Some(Duration::from_secs(60)),
        /// For running transfers when the server stops.
        drain: Duration as Time = Duration::from_secs(30),
    }
}

entry! {
    /// Where clients connect; any number of them, each with its own `address`.
    pub struct Listener by ["name", "address"] {
        /// The address and port, such as `127.0.0.1:2121` or `[::]:21`. Port 0 picks a free one.
        address: SocketAddr as Address,
        /// The name for logs and plugins.
        name: String as Name = String::new(); "the address",
        /// What TLS means here.
        tls: TlsMode as Word<TlsMode> = TlsMode::Off;
            "`\"require\"` where `[tls]` names a certificate, else `\"off\"`",
        /// The address that clients of this listener are told to connect to for data.
        passive_address: Option<PassiveAddress> as Maybe<Advertised> = None;
            "what `[passive]` says",
        /// What becomes of data connections that do not resume the control connection's TLS
        /// session.
        tls_resumption: TlsResumption as Word<TlsResumption> = TlsResumption::Report;
            "`resumption` in `[tls]`",
    }
}

entry! {
    /// TLS on the listeners that have it. The files are read again when they change.
    pub struct Tls by [] {
        /// The certificate and the chain that leads to it, in PEM. Must be given, but for
        /// `[tls.acme]`.
        certificate: PathBuf as FileName = PathBuf::new(); "that of `[tls.acme]`",
        /// Its private key, in PEM. Must be given, but for `[tls.acme]`.
        private_key: PathBuf as FileName = PathBuf::new(); "that of `[tls.acme]`",
        /// A certificate that an authority issues, in place of `certificate` and `private_key`.
        acme: Option<Acme> as Maybe<Sub<Acme>> = None,
        /// Certificates for other names of the server.
        host: Vec<TlsHost> as Many<TlsHost> = Vec::new(),
        /// The oldest version that is spoken.
        minimum_version: TlsVersion as Word<TlsVersion> = TlsVersion::Tls12,
        /// The cipher suites that are spoken, the most welcome first, by their registered names, such
        /// as `TLS_AES_256_GCM_SHA384`. `waft check` lists all that there are if a name is not known.
        cipher_suites: Option<Vec<String>> as Maybe<List<Name>> = None;
            "all, with AES-128-GCM first",
        /// The groups for the exchange of keys, the most welcome first, by their registered names,
        /// such as `x25519` or `secp256r1`.
        key_exchange_groups: Option<Vec<String>> as Maybe<List<Name>> = None;
            "those that rustls offers",
        /// What becomes of data connections that do not resume the control connection's session.
        /// Who does proves to be the same client; nothing of another session is ever resumed.
        resumption: TlsResumption as Word<TlsResumption> = TlsResumption::Report,
        /// What an upload that ends without close_notify is taken for: it may be cut off, but few
        /// clients end connections in order.
        close_notify: CloseNotify as Word<CloseNotify> = CloseNotify::Lenient,
        /// Which data connections are accepted: with `"private"`, clients have to use PROT P.
        data_connections: DataProtection as Word<DataProtection> = DataProtection::Any,
        /// Whether clients show certificates.
        client_certificates: ClientCertificates as Word<ClientCertificates> =
            ClientCertificates::None,
        /// The certificates of those who issue the clients' ones, in PEM.
        client_authorities: Option<PathBuf> as Maybe<FileName> = None,
        /// Whether CCC may end TLS on the control connection, so that firewalls can read along.
        ccc: bool as Flag = false,
    }
}

entry! {
    /// A certificate that an authority issues by ACME, such as Let's Encrypt. It is asked for when
    /// the server starts, and renewed when a third of its time is left; what fails is tried again.
    /// Until the first one comes, clients see one that nobody has signed.
    pub struct Acme by [] {
        /// The names of the server, as clients connect to it.
        names: Vec<String> as List<HostName>,
        /// Whether you agree to the authority's terms of service; those of Let's Encrypt are at
        /// <https://letsencrypt.org/repository/>.
        terms_of_service_agreed: bool as Flag = false; "none: it must be `true`",
        /// Mail addresses that the authority may write to.
        contact: Vec<String> as List<MailAddress> = Vec::new(),
        /// The authority: the URL of its directory.
        authority: String as SecureUrl = "https://acme-v02.api.letsencrypt.org/directory".to_owned(),
        /// The certificate that the authority's own server is verified by, in PEM, for one that is
        /// not public.
        authority_certificate: Option<PathBuf> as Maybe<FileName> = None;
            "those that the system trusts",
        /// How the authority sees that the names are the server's.
        challenge: AcmeChallenge as Word<AcmeChallenge> = AcmeChallenge::Http01,
        /// The address and port where it is answered, such as `0.0.0.0:80`. The authority connects
        /// to the port of the challenge, which may be forwarded to this one.
        address: SocketAddr as Address,
        /// The directory that the account, the certificate and their keys are kept in, for the
        /// user that the server runs as alone. It is made if it does not exist.
        directory: PathBuf as FileName,
    }
}

entry! {
    /// A certificate for clients that ask for a host (SNI) that it names.
    pub struct TlsHost by ["certificate"] {
        /// The certificate and the chain that leads to it, in PEM.
        certificate: PathBuf as FileName,
        /// Its private key, in PEM.
        private_key: PathBuf as FileName,
    }
}

section! {
    /// Passive mode: data connections that clients open. The firewall has to let these ports in.
    pub struct Passive {
        /// The ports, from the lowest to the highest.
        ports: PortRange as Ports = PortRange::DEFAULT,
        /// The address that clients are told: `"local"` for the one they connected to, an IPv4
        /// address, or a host name that is resolved each time.
        address: PassiveAddress as Advertised = PassiveAddress::Local,
        /// Networks within which data connections may come from another address than that of the
        /// control connection.
        peers: Vec<IpNet> as List<Network> = Vec::new(),
        /// Other addresses for clients of certain networks; the first one that fits counts.
        rule: Vec<PassiveRule> as Many<PassiveRule> = Vec::new(),
    }
}

entry! {
    /// The address that clients of one network are told.
    pub struct PassiveRule by ["from"] {
        /// The network of the client.
        from: IpNet as Network,
        /// The address that it is told: as `address` in `[passive]`.
        address: PassiveAddress as Advertised,
    }
}

section! {
    /// Active mode: data connections that the server opens, to the address of the client only.
    pub struct Active {
        /// Who may use it.
        mode: ActiveMode as Word<ActiveMode> = ActiveMode::Off,
        /// The networks that `mode = "lan"` means.
        lan: Vec<IpNet> as List<Network> = private_networks(),
    }
}

section! {
    /// How logging in is guarded, beside `login_attempts` in `[limits]`.
    pub struct Login {
        /// How long the answer to a failed login is held back at most. It is not after the first
        /// failure, and longer after each further one.
        failure_delay: Duration as Time = Duration::from_secs(10),
        /// Failed logins from one address before it is locked out; 0 means never.
        attempts_per_address: Option<u32> as Limit<Count> = Some(20),
        /// Failed logins to one account from one address before it is locked out there; 0 means
        /// never. From other addresses it is only answered more slowly, so that nobody can lock
        /// others out.
        attempts_per_account: Option<u32> as Limit<Count> = Some(10),
        /// How long a failed login counts.
        attempts_window: Duration as Deadline = Duration::from_secs(600),
        /// How long an address or account is locked out.
        lockout: Duration as Time = Duration::from_secs(900),
        /// How long a correct password is remembered, as a keyed hash in memory; 0 means not at
        /// all. Spares devices that log in for every file the cost of a slow hash.
        remember: Option<Duration> as Limit<Time> = Some(Duration::from_secs(60)),
        /// Passwords that are verified at the same time; 0 means one for each processor.
        verifications: Option<u32> as Limit<Number<0, 1024>> = None,
    }
}

section! {
    /// Files on their way in and out.
    pub struct Transfers {
        /// What happens to what has arrived of an upload that broke off. The file of that name is
        /// left as it was in any case.
        interrupted: Interrupted as Word<Interrupted> = Interrupted::Keep,
        /// The mode of new files, less the umask of the server. A file that is replaced keeps its own.
        file_mode: u32 as Mode = 0o644,
        /// The mode of new directories, less the umask of the server.
        directory_mode: u32 as Mode = 0o755,
        /// Whether an upload is on the disk before it is told complete, so that a power cut cannot
        /// take it back. Costs time.
        durable: bool as Flag = false,
        /// What TYPE A does.
        ascii: Ascii as Word<Ascii> = Ascii::Translate,
        /// Whether MODE Z is offered.
        deflate: bool as Flag = true,
        /// How hard MODE Z compresses, where the client does not say otherwise.
        deflate_level: u32 as Number<1, 9> = 6,
        /// Whether listings show names that begin with a dot.
        hidden_files: HiddenFiles as Word<HiddenFiles> = HiddenFiles::Show,
    }
}

entry! {
    /// Logins as `anonymous` or `ftp`, without a password. Without this section there are none.
    pub struct Anonymous by [] {
        /// The directory that is all they see.
        root: PathBuf as FileName,
        /// What they may do. Uploads are granted by `upload` alone.
        permissions: Permissions as Rights = Permissions::READ_ONLY,
        /// Whether they may upload files under names that are free.
        upload: bool as Flag = false,
        /// The directory in which their sessions begin.
        home: String as ClientDirectory = "/".to_owned(),
        /// Anonymous sessions at the same time; 0 means no limit.
        sessions: Option<u32> as Limit<Count> = None,
    }
}

section! {
    /// Accounts in a file of their own, beside those in the configuration. `waft user` edits it.
    pub struct Users {
        /// The file. It holds `[[user]]` tables and nothing else.
        file: Option<PathBuf> as Maybe<FileName> = None,
    }
}

entry! {
    /// One account.
    pub struct User by ["name"] {
        /// The name to log in with.
        name: String as Name,
        /// The hash of the password, as `waft user hash` makes it: argon2id, scrypt, pbkdf2, bcrypt
        /// or sha512-crypt.
        password: Option<PasswordHash> as Maybe<Password> = None;
            "none, which only accounts may have to which a certificate alone logs in",
        /// The directory that is all the account sees. With `storage` it is one there, from the root of
        /// that storage on: `"/in"`.
        root: PathBuf as FileName = PathBuf::new(); "all of it, with `storage`; needed otherwise",
        /// Where its files are instead: `"plugin:NAME"` for the storage that the plugin of that name
        /// is.
        storage: Option<String> as Maybe<Name> = None; "the directory in `root`",
        /// What the account may do. Replacing a file needs both `write` and `delete`.
        permissions: Permissions as Rights = Permissions::ALL,
        /// The directory in which its sessions begin.
        home: String as ClientDirectory = "/".to_owned(),
        /// Whether it can log in.
        enabled: bool as Flag = true,
        /// Sessions at the same time; 0 means no limit.
        sessions: Option<u32> as Limit<Count> = None;
            "`sessions_per_user` in `[limits]`",
        /// The certificates that are the account's, by a name that they give their owner:
        /// `"email:alice@example.org"`, `"dns:…"` and `"uri:…"` stand for a name of subjectAltName,
        /// `"cn:alice"` for the common name, `"subject:CN=alice,O=Example"` for the whole subject.
        /// `client_authorities` in `[tls]` says who issues them. Whoever shows one of them is nobody
        /// else, and whoever shows another one is not this account: 530.
        certificates: Vec<String> as List<Name> = Vec::new(),
        /// Whether such a certificate logs in alone.
        certificate_login: CertificateLogin as Word<CertificateLogin> = CertificateLogin::Alone,
        /// What becomes of its data connections that do not resume the control connection's TLS
        /// session. Goes before what the listener says, in either direction.
        tls_resumption: Option<TlsResumption> as Maybe<Word<TlsResumption>> = None;
            "what holds for the listener",
        /// Facts about the account, for plugins.
        attributes: BTreeMap<String, String> as Attributes = BTreeMap::new(),
    }
}

entry! {
    /// The storage of a plugin under a path of every account's. What an account may do there is what
    /// it may do elsewhere.
    pub struct Mount by ["path"] {
        /// The path, as clients see it. It hides what accounts have there.
        path: String as ClientDirectory,
        /// The name of the plugin.
        plugin: String as Name,
        /// The directory of that storage which is seen there.
        root: String as ClientDirectory = "/".to_owned(),
    }
}

section! {
    /// Plugins as a whole.
    pub struct Plugins {
        /// The directory of plugins: every `*.wasm` in it is loaded, and reloaded when it changes.
        /// It must not be within the root of any account, nor within what a plugin is granted for files;
        /// it and they belong to root or the user that
        /// the server runs as, and nobody else may write there.
        directory: Option<PathBuf> as Maybe<FileName> = None,
        /// The names of plugins in the order in which they are asked; the others come after.
        order: Vec<String> as List<Name> = Vec::new(),
        /// What becomes of components in the directory that no `[[plugin]]` names and that have no
        /// settings beside them.
        unlisted: Unlisted as Word<Unlisted> = Unlisted::HooksOnly,
        /// What a failed call counts as, for plugins that do not say otherwise.
        on_error: OnError as Word<OnError> = OnError::Deny,
        /// What happens when a plugin cannot be loaded at the start, for plugins that do not say
        /// otherwise. While the server runs, the version before goes on, unless it has lost a grant
        /// that it cannot do without.
        on_load_error: OnLoadError as Word<OnLoadError> = OnLoadError::RefuseStart,
        /// The directory of uploads that plugins put in quarantine. Nobody is served from it.
        quarantine: Option<PathBuf> as Maybe<FileName> = None; "such uploads are refused and deleted",
        /// Memory of all instances of all plugins. One more waits until another is gone.
        memory_budget: u64 as Amount = 512 << 20,
        /// How long a changed file has to be quiet before it is loaded.
        debounce: Duration as Time = Duration::from_millis(250),
        /// How often the directory is looked at where its changes are not told, as on network
        /// mounts; 0 means never.
        poll: Option<Duration> as Limit<Time> = Some(Duration::from_secs(30)),
        /// Whoever may sign plugins: a public key of Ed25519, in PEM. With it, a component is taken if
        /// its signature lies beside it, in `NAME.wasm.sig`; what runs already goes on.
        public_key: Option<PathBuf> as Maybe<FileName> = None; "signatures are not looked at",
        /// How long a new version of a plugin is on probation. If it fails again and again within that
        /// time, the version before takes its place, and it is not taken again until its file or its
        /// `config` changes; 0 means that it stays.
        probation: Option<Duration> as Limit<Time> = Some(Duration::from_secs(60)),
        /// How long transfers may go on with a version of a plugin that another took the place of.
        /// They are ended then, with 426; 0 means as long as they take.
        drain_timeout: Option<Duration> as Limit<Time> = None,
        /// How long a component may take to be compiled, in a process of its own, which gives way to all
        /// others once clients are served.
        compile_timeout: Duration as Deadline = Duration::from_secs(120),
        /// The limits of plugins that do not set their own.
        limits: PluginLimits as Sub<PluginLimits> = PluginLimits::default(),
    }
}

section! {
    /// What operators ask of the running server: `waft status` and `waft plugin list`, `status`,
    /// `reload`, `rollback`, `promote`, `drain`, `disable` and `enable`.
    pub struct Control {
        /// The Unix socket. Only root and the user that the server runs as may use it.
        socket: Option<PathBuf> as Maybe<FileName> = None;
            "`control.sock` in `state` of `[server]`; without that, none",
    }
}

section! {
    /// Numbers for a monitoring system, in the format of Prometheus.
    pub struct Metrics {
        /// The address and port where `/metrics` is answered by HTTP, such as `127.0.0.1:9121`.
        /// Whoever reaches it reads the numbers.
        listen: Option<SocketAddr> as Maybe<Address> = None; "nowhere",
    }
}

section! {
    /// What one plugin may use up.
    pub struct PluginLimits {
        /// Memory of one instance.
        memory: u64 as Amount = 64 << 20,
        /// Time of the processor for one call, of whatever hook.
        cpu: Option<Duration> as Maybe<Deadline> = None; "[by hook](plugins.md#limits)",
        /// Time for one call, waiting included, of whatever hook.
        wall: Option<Duration> as Maybe<Deadline> = None; "[by hook](plugins.md#limits)",
        /// Instances at the same time; further calls wait. `min` of them are kept, however long
        /// nobody needs them.
        instances: Instances as InstanceCount = Instances::default(),
        /// Sessions at the same time that have an instance of their own, where `isolation` says so;
        /// the calls of further ones wait.
        sessions: u32 as Number<1, 2048> = 256,
        /// Transfers at the same time that pass through it, each of which has an instance of its own
        /// unless `share` says otherwise; further ones wait.
        transfers: u32 as Number<1, 2048> = 256,
        /// How long a call or a transfer waits for an instance before it counts as failed.
        queue: Duration as Deadline = Duration::from_secs(1),
        /// Calls after which an instance is replaced by a new one.
        instance_calls: u32 as Number<1, { u32::MAX }> = 100_000,
        /// The age at which an instance is replaced by a new one.
        instance_age: Duration as Deadline = Duration::from_secs(600),
        /// How long instances above `min` are kept while nobody needs them.
        instance_idle: Duration as Deadline = Duration::from_secs(60),
        /// Lines that it may write to the log in a second.
        log_lines: u32 as Count = 200,
        /// Commands that it is remembered to let pass, on each processor, where it says that it decides by
        /// nothing but the command and the session; 0 has it asked every time.
        remembered_commands: u32 as Number<0, 1_000_000> = 1024,
        /// One call of `lifecycle`: `describe` and `init`.
        lifecycle: HookLimits as CallLimits = HookLimits::default(); "`cpu` and `wall` above",
        /// One call of `connection-filter`.
        connection_filter: HookLimits as CallLimits = HookLimits::default(); "likewise",
        /// One call of `authenticator`.
        authenticator: HookLimits as CallLimits = HookLimits::default(); "likewise",
        /// One call of `command-filter`.
        command_filter: HookLimits as CallLimits = HookLimits::default(); "likewise",
        /// One call of `reply-filter`.
        reply_filter: HookLimits as CallLimits = HookLimits::default(); "likewise",
        /// One call of `file-filter`.
        file_filter: HookLimits as CallLimits = HookLimits::default(); "likewise",
        /// One call of `content-filter`: a piece of a file.
        content_filter: HookLimits as CallLimits = HookLimits::default(); "likewise",
        /// One call of `storage`: a piece of a file, or of a listing.
        storage: HookLimits as CallLimits = HookLimits::default(); "likewise",
        /// One call of `event-sink`: a batch of events.
        event_sink: HookLimits as CallLimits = HookLimits::default(); "likewise",
        /// One call of `site-command`.
        site_command: HookLimits as CallLimits = HookLimits::default(); "likewise",
        /// One call of `timer`.
        timer: HookLimits as CallLimits = HookLimits::default(); "likewise",
    }
}

section! {
    /// What one call of one hook may take.
    pub struct HookLimits {
        /// Time of the processor.
        cpu: Option<Duration> as Maybe<Deadline> = None,
        /// Time in all, waiting included.
        wall: Option<Duration> as Maybe<Deadline> = None,
    }
}

section! {
    /// How many instances a plugin has.
    pub struct Instances {
        /// Those that are kept.
        min: u32 as Number<0, 10_000> = 1,
        /// Those that there are at most.
        max: u32 as Number<1, 10_000> = 64,
    }
}

section! {
    /// What a failed call counts as, by hook. The others have no choice: a reply stays, nobody is let
    /// in, and what only the plugin can answer is answered with 451.
    pub struct OnErrorByHook {
        /// Who may connect.
        connection_filter: Option<OnError> as Maybe<Word<OnError>> = None; "`on_error`",
        /// Who may log in: always `"deny"`.
        authenticator: Option<OnError> as Maybe<Word<OnError>> = None; "`on_error`",
        /// Commands.
        command_filter: Option<OnError> as Maybe<Word<OnError>> = None; "`on_error`",
        /// Files and listings.
        file_filter: Option<OnError> as Maybe<Word<OnError>> = None; "`on_error`",
        /// Contents of files that it inspects; where it changes them or cannot say so, always `"deny"`.
        content_filter: Option<OnError> as Maybe<Word<OnError>> = None; "`on_error`",
    }
}

entry! {
    /// One plugin, with its settings.
    pub struct Plugin by ["name"] {
        /// The name for logs, for `order` and for `waft plugin`.
        name: String as Name,
        /// The component.
        path: PathBuf as FileName = PathBuf::new(); "`NAME.wasm` in the directory of `[plugins]`",
        /// The only component that is taken: its SHA-256, as `waft plugin inspect` tells it.
        sha256: Option<String> as Maybe<Sha256> = None; "any",
        /// Whether it is only listened to: what it would have done to commands, replies, connections and
        /// files is logged, and not done.
        shadow: bool as Flag = false,
        /// The share of sessions that a new version, be the component or its `config` new, serves at
        /// first. It serves all once its probation ends well, or with `waft plugin promote`.
        canary: Option<u8> as Maybe<Share> = None; "all, at once",
        /// Whether it stays in force, in the version before, when its file is removed.
        required: bool as Flag = false,
        /// What a failed call counts as.
        on_error: OnError as Word<OnError> = OnError::Deny; "what `[plugins]` says",
        /// The same for single hooks, where they differ.
        on_error_by_hook: OnErrorByHook as Sub<OnErrorByHook> = OnErrorByHook::default(),
        /// Who shares an instance.
        isolation: Isolation as Word<Isolation> = Isolation::Pool,
        /// Transfers that share an instance. More than one is for `isolation = "pool"`, and for components
        /// that import nothing in which they could wait.
        share: u32 as Number<1, 256> = 1,
        /// What happens when it cannot be loaded at the start.
        on_load_error: OnLoadError as Word<OnLoadError> = OnLoadError::RefuseStart;
            "what `[plugins]` says",
        /// Its place among the plugins that `order` does not name: the lowest is asked first.
        priority: u32 as Count = 100,
        /// The directory of uploads that it puts in quarantine.
        quarantine: Option<PathBuf> as Maybe<FileName> = None; "what `[plugins]` says",
        /// What it may use up.
        limits: PluginLimits as Sub<PluginLimits> = PluginLimits::default();
            "what `[plugins.limits]` says, key by key",
        /// Its settings, handed over as they are.
        config: Settings as Free = Settings::default(),
        /// What it may reach beside its hooks; nothing unless granted.
        grant: Grants as Sub<Grants> = Grants::default(),
    }
}

section! {
    /// What one plugin may reach beside its hooks. What a component needs is what it imports:
    /// `waft plugin inspect` tells, with the lines to write here.
    pub struct Grants {
        /// A store of its own, with room for so much: its keys and values. It survives a reload of
        /// the plugin, and with `persistent = true` a restart of the server, in `server.state`.
        kv: Option<KvGrant> as Maybe<Room> = None,
        /// Whether events on their way to it survive a restart or crash of the server, on the disk, in
        /// `server.state`: `true`, or how much of them.
        durable_events: Option<u64> as Spool = None; "`false`",
        /// The web services that it may ask: URLs that begin so, compared by scheme, host, port and
        /// whole steps of the path. An empty list lets a component load that wants to ask, and
        /// denies whatever it asks.
        http: Option<Vec<String>> as Maybe<List<Name>> = None,
        /// Whether these services may have addresses of this machine or of a private network.
        http_private: bool as Flag = false,
        /// Whether it may end sessions and ban addresses.
        control: bool as Flag = false,
        /// Whether it is shown the passwords that clients offer.
        passwords: bool as Flag = false,
        /// The directories within which the accounts that it lets in may have their files. The storages
        /// of plugins need no grant.
        storage: Vec<PathBuf> as List<FileName> = Vec::new(),
        /// Secrets, such as passwords for services.
        secrets: BTreeMap<String, Node> as Secrets = BTreeMap::new(),
    }
}

section! {
    /// A plugin's store.
    pub struct KvGrant {
        /// Room for its keys and values.
        size: u64 as Amount = 1 << 20,
        /// Whether it is there again after a restart of the server.
        persistent: bool as Flag = false,
    }
}

fn private_networks() -> Vec<IpNet> {
    let v4 = |a, b, c, d, prefix| (IpAddr::from(Ipv4Addr::new(a, b, c, d)), prefix);
    let v6 = |first, prefix| (IpAddr::from(Ipv6Addr::new(first, 0, 0, 0, 0, 0, 0, 0)), prefix);
    [
        v4(127, 0, 0, 0, 8),
        v4(10, 0, 0, 0, 8),
        v4(172, 16, 0, 0, 12),
        v4(192, 168, 0, 0, 16),
        v4(169, 254, 0, 0, 16),
        (IpAddr::from(Ipv6Addr::LOCALHOST), 128),
        v6(0xfc00, 7),
        v6(0xfe80, 10),
    ]
    .into_iter()
    .filter_map(|(address, prefix)| IpNet::new(address, prefix).ok())
    .collect()
}
