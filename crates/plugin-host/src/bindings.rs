//! What is generated from `wit/`: the services that this version has, and all
//! hooks.
//!
//! Each hook interface is bound on its own, so that a component may export any set of them.

wasmtime::component::bindgen!({
    inline: "
        package waft:host;
        world served {
            import waft:plugin/types@0.1.1;
            import waft:plugin/sessions@0.1.1;
            import waft:plugin/log@0.1.1;
            import waft:plugin/config@0.1.1;
            import waft:plugin/clock@0.1.1;
            import waft:plugin/crypto@0.1.1;
            import waft:plugin/kv@0.1.1;
            import waft:plugin/http@0.1.1;
            import waft:plugin/metrics@0.1.1;
            import waft:plugin/control@0.1.1;
            export waft:plugin/lifecycle@0.1.1;
            export waft:plugin/command-filter@0.1.1;
            export waft:plugin/reply-filter@0.1.1;
            export waft:plugin/connection-filter@0.1.1;
            export waft:plugin/authenticator@0.1.1;
            export waft:plugin/file-filter@0.1.1;
            export waft:plugin/content-filter@0.1.1;
            export waft:plugin/storage@0.1.1;
            export waft:plugin/event-sink@0.1.1;
            export waft:plugin/site-command@0.1.1;
            export waft:plugin/timer@0.1.1;
        }
    ",
    path: "../../wit",
    world: "waft:host/served",
    imports: {
        "waft:plugin/http": async,
        "waft:plugin/sessions": trappable,
        "waft:plugin/crypto": trappable,
        "waft:plugin/crypto.verify-password": async | trappable,
        "waft:plugin/crypto.verify-offered": async | trappable,
    },
    exports: { default: async },
    with: { "waft:plugin/sessions.session": crate::capability::sessions::Session },
});
