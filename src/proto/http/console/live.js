// How the broker is, every second, for whatever page looks.
//
// One stream for the tab, and none while nobody sees it. The last minutes are kept to draw them;
// they begin anew with the broker. When the stream ends it is asked for again until it is there.

import { Trouble, call, follow } from './kit.js';

/** Seconds that are kept. */
const KEPT = 180;
/** A stream without a word for so long has ended without saying so. */
const SILENCE_MS = 6000;

export const live = { last: null, past: [] };

const voice = new EventTarget();

/** Hear of `snapshot`, `lost`, `back` and `refused`. */
export function hear(what, act, signal) {
  voice.addEventListener(what, (event) => act(event.detail), { signal });
}

const tell = (what, detail) => voice.dispatchEvent(new CustomEvent(what, { detail }));

/** The sum of all counters that begin so. */
export function sum(snapshot, begin) {
  const all = Object.entries(snapshot.counters).filter(([name]) => name.startsWith(begin));
  return all.reduce((total, [, value]) => total + value, 0);
}

function on(snapshot) {
  const before = live.last;
  if (before && snapshot.uptime_seconds < before.uptime_seconds) {
    live.past = [];
  } else if (before) {
    const seconds = snapshot.uptime_seconds - before.uptime_seconds;
    if (seconds <= 0) return;
    const rate = (begin) => Math.max(0, (sum(snapshot, begin) - sum(before, begin)) / seconds);
    live.past.push({
      received: rate('messages_received_'),
      sent: rate('messages_sent_'),
      bytesIn: rate('received_bytes_'),
      bytesOut: rate('sent_bytes_'),
      dropped: rate('messages_dropped_'),
      connections: snapshot.connections,
      deliver: snapshot.timings.publish_to_deliver.minute.p99_us,
      drift: snapshot.timings.event_loop_drift.minute.p99_us,
    });
    if (live.past.length > KEPT) live.past.shift();
  }
  live.last = snapshot;
  tell('snapshot', snapshot);
}

let running = null;

export function stop() {
  running?.abort();
  running = null;
}

export function start() {
  stop();
  running = new AbortController();
  listen(running.signal);
}

async function listen(signal) {
  let gone = false;
  const here = (snapshot) => {
    if (gone) tell('back');
    gone = false;
    on(snapshot);
  };
  while (!signal.aborted) {
    let wait = 1000;
    try {
      await watch(signal, here);
      throw new Trouble(0, 'the connection to it ended');
    } catch (trouble) {
      if (signal.aborted) return;
      if (trouble.status === 401) return tell('refused', trouble.message);
      if (trouble.status === 503) {
        // Enough others watch: look now and then instead.
        wait = 5000;
        await call('GET /api/v1/stats', {}, signal).then((a) => here(a.data), () => {});
      } else {
        gone = true;
        tell('lost', trouble instanceof Trouble ? trouble.message : 'the connection to it ended');
      }
    }
    await new Promise((done) => setTimeout(done, wait));
  }
}

/** Follow the stream until it ends, or says nothing for too long. */
async function watch(signal, here) {
  const own = new AbortController();
  const end = () => own.abort();
  signal.addEventListener('abort', end, { once: true });
  let silence = setTimeout(end, SILENCE_MS);
  try {
    await follow('GET /api/v1/events', {}, own.signal, (name, data) => {
      clearTimeout(silence);
      silence = setTimeout(end, SILENCE_MS);
      if (name === 'snapshot') here(data);
    });
  } finally {
    clearTimeout(silence);
    signal.removeEventListener('abort', end);
  }
}
