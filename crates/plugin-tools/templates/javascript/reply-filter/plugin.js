// Says goodbye in words of its own. No other reply is ever shown to this plugin.

export const lifecycle = {
  describe() {
    return {
      name: 'kind-words',
      version: '0.1.0',
      description: 'Says goodbye in words of its own',
      verbs: [],
      site: [],
      features: [],
      events: [],
      extra: [['reply.verbs', 'QUIT'], ['reply.codes', '221']],
    };
  },

  init() {},
};

export const replyFilter = {
  onReply(session, command, reply) {
    const user = session.user();
    if (user === undefined) return undefined;
    return { code: reply.code, lines: [`Come back soon, ${user}.`] };
  },
};
