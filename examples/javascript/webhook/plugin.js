// Tells a web service what happens on the server: a POST for every batch of events, signed.

import { all, get, secret } from 'waft:plugin/config@0.1.1';
import { hmacSha256 } from 'waft:plugin/crypto@0.1.1';
import { fetch } from 'waft:plugin/http@0.1.1';

// What is told where the operator has named no events.
const EVENTS = ['transfer.*'];

export const lifecycle = {
  describe() {
    const wanted = all()
      .filter(([key]) => key.startsWith('events.'))
      .map(([, pattern]) => pattern);
    return {
      name: 'webhook',
      version: '0.1.0',
      description: 'Posts events to a web service',
      verbs: [],
      site: [],
      features: [],
      events: wanted.length > 0 ? wanted : EVENTS,
      extra: [],
    };
  },

  init() {
    if (get('url') === undefined) throw 'url: is missing; it is where events are posted to';
  },
};

export const eventSink = {
  onEvents(events) {
    const body = new TextEncoder().encode(JSON.stringify(events.map(plain)));
    const headers = [['content-type', 'application/json']];
    const key = secret('key');
    if (key !== undefined) {
      headers.push(['x-waft-signature', `sha256=${hex(hmacSha256(key, body))}`]);
    }
    const response = post(get('url'), headers, body);
    // The server offers the same events again after a while.
    if (response.status >= 300) throw `the service answers: ${response.status}`;
  },
};

function post(url, headers, body) {
  try {
    return fetch({ method: 'POST', url, headers, body, timeoutMs: 5000 });
  } catch (error) {
    const { tag, val } = error.payload;
    throw `the service cannot be asked: ${tag} ${val ?? ''}`.trim();
  }
}

// An event as JSON has it; numbers of 64 bits are BigInts here, which JSON does not know.
function plain(event) {
  const fields = event.fields.map(([name, { tag, val }]) => [
    name,
    tag === 'number' ? Number(val) : val,
  ]);
  return {
    id: Number(event.id),
    time: new Date(Number(event.timeMs)).toISOString(),
    name: event.name,
    session: event.session === undefined ? null : Number(event.session),
    ...Object.fromEntries(fields),
  };
}

function hex(octets) {
  return Array.from(octets, (octet) => octet.toString(16).padStart(2, '0')).join('');
}
