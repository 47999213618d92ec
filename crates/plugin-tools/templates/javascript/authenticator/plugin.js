// Lets a guest in, whatever the password, to look and to fetch.

import { get } from 'waft:plugin/config@0.1.1';

const NAME = 'guest';

export const lifecycle = {
  describe() {
    return {
      name: 'guest-login',
      version: '0.1.0',
      description: 'Lets a guest in, to look and to fetch',
      verbs: [],
      site: [],
      features: [],
      events: [],
      extra: [],
    };
  },

  init() {
    if (get('directory') === undefined) throw 'directory: is missing';
  },
};

export const authenticator = {
  authenticate(session, credentials) {
    // Who is not known here is left to the next authenticator.
    if (credentials.tag !== 'password' || credentials.val.user !== NAME) {
      return { tag: 'abstain' };
    }
    const account = {
      name: NAME,
      storage: `local:${get('directory')}`,
      root: '/',
      permissions: ['list', 'read'],
      limits: [],
      groups: [],
      attributes: [],
    };
    return { tag: 'accept', val: account };
  },
};
