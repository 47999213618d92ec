// Answers SITE HELLO.

export const lifecycle = {
  describe() {
    return {
      name: 'hello-site',
      version: '0.1.0',
      description: 'Answers SITE HELLO',
      verbs: [],
      site: [['SITE HELLO', 'SITE HELLO: says hello']],
      features: [],
      events: [],
      extra: [],
    };
  },

  init() {},
};

export const siteCommand = {
  onSite(session, name, arg) {
    if (arg !== undefined) return { code: 501, lines: ['SITE HELLO takes no argument.'] };
    return { code: 200, lines: [`Hello, ${session.user()}.`] };
  },
};
