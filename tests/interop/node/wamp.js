// autobahn-js and wampy, driven line by line: one JSON request per line on standard input, one JSON
// answer or event per line on standard output. Any number of clients, each under a name of its own.
//
// Nothing is decided here: a request becomes one call of the library, and what the library says
// becomes one line. Octets are spelled {"$bytes": base64}, integers that no number of JavaScript
// holds {"$int": text}. Absent on purpose: reconnection, timeouts, expectations.
'use strict'

const path = require('path')
const readline = require('readline')
const { pathToFileURL } = require('url')

// autobahn-js takes the one of the browser, which node has only since 22.
globalThis.WebSocket = require('ws')
for (const name of ['log', 'warn', 'info', 'debug', 'error']) console[name] = () => {}
// Its long poll asks by what browsers have: so much of that as it needs, over fetch.
global.XMLHttpRequest = class {
  open (method, url) { this.method = method; this.url = url }
  setRequestHeader () {}

  async send (body) {
    try {
      const answer = await fetch(this.url, { method: this.method, body })
      this.responseText = await answer.text()
      this.status = answer.status
      this.statusText = answer.statusText
    } catch {
      this.status = 0
    }
    this.readyState = 4
    this.onreadystatechange()
  }
}
const autobahn = require('autobahn')
const serializers = require('autobahn/lib/serializer.js')
const { Wampy } = require('wampy')
const { JsonSerializer } = require('wampy/JsonSerializer.js')
const { MsgpackSerializer } = require('wampy/MsgpackSerializer.js')
const { CborSerializer } = require('wampy/CborSerializer.js')
const wampySign = require('wampy/cryptosign.js')

// What the package offers to `require` here cannot be required.
const wampyCra = import(pathToFileURL(
  path.join(path.dirname(require.resolve('wampy')), '../esm/auth/wampcra/wampy-cra.js')))

const clients = new Map()
const invocations = new Map()
let invocationsSoFar = 0

const say = (value) => process.stdout.write(JSON.stringify(out(value)) + '\n')
const known = (value) => Object.fromEntries(
  Object.entries(value || {}).filter(([, v]) => v !== undefined && v !== null))

function out (value) {
  if (typeof value === 'bigint') {
    const small = value <= Number.MAX_SAFE_INTEGER && value >= Number.MIN_SAFE_INTEGER
    return small ? Number(value) : { $int: String(value) }
  }
  if (value instanceof ArrayBuffer) value = new Uint8Array(value)
  if (ArrayBuffer.isView(value)) {
    const octets = Buffer.from(value.buffer, value.byteOffset, value.byteLength)
    return { $bytes: octets.toString('base64') }
  }
  if (Array.isArray(value)) return value.map(out)
  if (value && typeof value === 'object') {
    if (typeof value.slice === 'function' && Buffer.isBuffer(value.slice())) {
      return { $bytes: value.slice().toString('base64') }
    }
    return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, out(v)]))
  }
  return value
}

function back (value) {
  if (Array.isArray(value)) return value.map(back)
  if (value && typeof value === 'object') {
    if ('$bytes' in value) return Buffer.from(value.$bytes, 'base64')
    return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, back(v)]))
  }
  return value
}

// Tell of an invocation, and wait for what the check wants of it.
function invoked (client, r, args, kwargs, details, progress) {
  const i = ++invocationsSoFar
  return new Promise((resolve, reject) => {
    invocations.set(i, { resolve, reject, progress })
    say({ c: client, ev: 'invocation', i, r, args, kwargs, details })
  })
}

class Autobahn {
  constructor (ask) {
    this.name = ask.c
    this.subscriptions = new Map()
    this.registrations = new Map()
    this.calls = new Map()
    const make = {
      json: serializers.JSONSerializer,
      msgpack: serializers.MsgpackSerializer,
      cbor: serializers.CBORSerializer,
    }[ask.serializer]
    const raw = ask.transport === 'tcp' || ask.transport === 'unix'
    const transport = raw
      ? { type: 'rawsocket', host: ask.host, port: ask.port, path: ask.path || undefined }
      : { type: ask.transport === 'lp' ? 'longpoll' : 'websocket', url: ask.url }
    const auth = ask.auth || {}
    const options = {
      transports: [transport],
      realm: ask.realm,
      serializers: [new make()],
      authid: auth.authid || ask.authid || undefined,
      max_retries: 0,
      retry_if_unreachable: false,
      on_user_error: () => {},
      on_internal_error: (error) => this.event({ ev: 'error', why: String(error) }),
    }
    if (ask.methods || auth.method) options.authmethods = ask.methods || [auth.method]
    this.prove(options, auth)
    this.connection = new autobahn.Connection(options)
  }

  prove (options, auth) {
    if (auth.method === 'ticket') options.onchallenge = () => auth.ticket
    if (auth.method === 'wampcra') {
      options.onchallenge = (session, method, extra) => {
        const salted = extra.salt !== undefined
        const key = salted
          ? autobahn.auth_cra.derive_key(auth.secret, extra.salt, extra.iterations, extra.keylen)
          : auth.secret
        return autobahn.auth_cra.sign(key, extra.challenge)
      }
    }
    if (auth.method === 'cryptosign') {
      const pair = require('tweetnacl').sign.keyPair.fromSeed(Buffer.from(auth.privkey, 'hex'))
      options.authextra = { pubkey: autobahn.auth_cryptosign.public_key(pair) }
      options.onchallenge = (session, method, extra) =>
        autobahn.auth_cryptosign.sign_challenge(pair, extra)
    }
  }

  event (value) {
    say({ c: this.name, ...value })
  }

  connect () {
    this.connection.onopen = (session, details) => {
      this.session = session
      this.event({ ev: 'joined', session: session.id, details: out(known(details)) })
    }
    this.connection.onclose = (reason, details) => {
      if (details.reason) {
        this.event({ ev: 'left', reason: details.reason, message: details.message })
      }
      this.event({ ev: 'closed', reason: null, message: reason })
      return true
    }
    this.connection.open()
  }

  failed (e) {
    if (e instanceof autobahn.Error) {
      return { uri: e.error, args: out(e.args), kwargs: out(e.kwargs), text: e.error }
    }
    return { uri: null, args: [], kwargs: {}, text: String(e) }
  }

  async subscribe (ask) {
    const made = await this.session.subscribe(ask.topic, (args, kwargs, details) => {
      this.event({
        ev: 'event', s: ask.s, args: out(args), kwargs: out(kwargs), details: out(known(details)),
      })
    }, ask.options)
    this.subscriptions.set(ask.s, made)
    made.on_unsubscribe.then((reason) => this.event({ ev: 'revoked', s: ask.s, reason }))
    return { id: made.id }
  }

  async unsubscribe (ask) {
    await this.session.unsubscribe(this.subscriptions.get(ask.s))
    return {}
  }

  async publish (ask) {
    const made = await this.session.publish(
      ask.topic, back(ask.args), back(ask.kwargs), ask.options)
    return { id: made ? made.id : null }
  }

  async register (ask) {
    const made = await this.session.register(ask.procedure, async (args, kwargs, details) => {
      const said = { ...known(details), receive_progress: !!details.progress }
      const got = await invoked(this.name, ask.r, args, kwargs, said, details.progress)
      return new autobahn.Result(got.args, got.kwargs)
    }, ask.options)
    this.registrations.set(ask.r, made)
    made.on_unregister.then((reason) => this.event({ ev: 'revoked', r: ask.r, reason }))
    return { id: made.id }
  }

  async unregister (ask) {
    await this.session.unregister(this.registrations.get(ask.r))
    return {}
  }

  async call (ask) {
    const plain = (value) => value instanceof autobahn.Result
      ? { args: out(value.args), kwargs: out(value.kwargs) }
      : { args: value === null || value === undefined ? [] : [out(value)], kwargs: {} }
    const made = this.session.call(ask.procedure, back(ask.args), back(ask.kwargs), ask.options)
    this.calls.set(ask.n, made)
    const got = await made.then(
      (value) => value,
      (error) => { throw error },
      (value) => this.event({ ev: 'progress', call: ask.n, ...plain(value) }))
    return plain(got)
  }

  async cancel (ask) {
    this.calls.get(ask.call).cancel(ask.mode ? { mode: ask.mode } : {})
    return {}
  }

  async leave (ask) {
    this.connection.close(ask.reason || undefined, ask.message || undefined)
    return {}
  }

  async drop () {
    this.connection._transport.close()
    return {}
  }

  error (ask) {
    return new autobahn.Error(ask.uri, back(ask.args), back(ask.kwargs))
  }
}

class WampyClient {
  constructor (ask) {
    this.name = ask.c
    this.subscriptions = new Map()
    this.registrations = new Map()
    this.calls = new Map()
    this.url = ask.url
    const make = { json: JsonSerializer, msgpack: MsgpackSerializer, cbor: CborSerializer }
    const auth = ask.auth || {}
    this.options = {
      ws: globalThis.WebSocket,
      realm: ask.realm,
      serializer: new make[ask.serializer](),
      autoReconnect: false,
      uriValidation: 'loose',
      onClose: () => this.event({ ev: 'closed', reason: null, message: null }),
      onError: () => {},
    }
    if (ask.hello) this.options.helloCustomDetails = ask.hello
    if (ask.authid) this.options.authid = ask.authid
    if (auth.method) {
      this.options.authid = auth.authid
      this.options.authmethods = [auth.method]
      this.options.onChallenge = {
        ticket: () => auth.ticket,
        wampcra: async (method, extra) => (await wampyCra).sign(auth.secret)(method, extra),
        cryptosign: (method, extra) => wampySign.sign(auth.privkey)(method, extra),
      }[auth.method]
      if (auth.pubkey) this.options.authextra = { pubkey: auth.pubkey }
    }
  }

  event (value) {
    say({ c: this.name, ...value })
  }

  async connect () {
    try {
      this.wampy = new Wampy(this.url, this.options)
      const welcome = await this.wampy.connect()
      this.event({ ev: 'joined', session: out(this.wampy.getSessionId()), details: out(welcome) })
    } catch (e) {
      const reason = e.errorUri || null
      if (reason) {
        const message = e.details && e.details.message ? e.details.message : e.message
        this.event({ ev: 'left', reason, message: message || null })
      }
      this.event({ ev: 'closed', reason: null, message: String(e && e.message) })
    }
  }

  failed (e) {
    return {
      uri: (e && e.errorUri) || null,
      args: out((e && e.argsList) || []),
      kwargs: out((e && e.argsDict) || {}),
      text: String(e && e.message),
    }
  }

  payload (ask) {
    return { argsList: back(ask.args), argsDict: back(ask.kwargs) }
  }

  async subscribe (ask) {
    const handler = (e) => this.event({
      ev: 'event', s: ask.s, args: e.argsList || [], kwargs: e.argsDict || {}, details: e.details,
    })
    // With options, even none, it does not find the subscription again when it is to be given up.
    const options = Object.keys(ask.options).length ? ask.options : undefined
    const made = await this.wampy.subscribe(ask.topic, handler, options)
    this.subscriptions.set(ask.s, { key: made.subscriptionKey, handler })
    return { id: made.subscriptionId }
  }

  async unsubscribe (ask) {
    const { key, handler } = this.subscriptions.get(ask.s)
    await this.wampy.unsubscribe(key, handler)
    return {}
  }

  // It asks for an acknowledgement always.
  async publish (ask) {
    const { acknowledge, ...options } = ask.options
    const made = await this.wampy.publish(ask.topic, this.payload(ask), options)
    return { id: made.publicationId }
  }

  async register (ask) {
    const made = await this.wampy.register(ask.procedure, async (e) => {
      const progress = (args, kwargs) => e.result_handler({
        argsList: args, argsDict: kwargs, options: { progress: true },
      })
      const got = await invoked(
        this.name, ask.r, e.argsList || [], e.argsDict || {}, e.details, progress)
      return { argsList: got.args, argsDict: got.kwargs }
    }, ask.options)
    this.registrations.set(ask.r, ask.procedure)
    return { id: made.registrationId }
  }

  async unregister (ask) {
    await this.wampy.unregister(this.registrations.get(ask.r))
    return {}
  }

  async call (ask) {
    const { receive_progress: progress, ...options } = ask.options
    if (progress) {
      options.progress_callback = (got) => this.event({
        ev: 'progress', call: ask.n, args: out(got.argsList || []), kwargs: out(got.argsDict || {}),
      })
    }
    const made = this.wampy.call(ask.procedure, this.payload(ask), options)
    this.calls.set(ask.n, this.wampy.getOpStatus().reqId)
    const got = await made
    return { args: out(got.argsList || []), kwargs: out(got.argsDict || {}) }
  }

  async cancel (ask) {
    this.wampy.cancel(this.calls.get(ask.call), ask.mode ? { mode: ask.mode } : {})
    return {}
  }

  async leave () {
    await this.wampy.disconnect()
    return {}
  }

  async drop () {
    this.wampy._ws.terminate()
    return {}
  }

  error (ask) {
    return { error: ask.uri, details: {}, argsList: back(ask.args), argsDict: back(ask.kwargs) }
  }
}

function settle (ask) {
  const waiting = invocations.get(ask.i)
  if (!waiting) return say({ n: ask.n, ok: { waited: false } })
  if (ask.do === 'error') waiting.reject(clients.get(ask.c).error(ask))
  else if (ask.progress) waiting.progress(back(ask.args), back(ask.kwargs))
  else waiting.resolve({ args: back(ask.args), kwargs: back(ask.kwargs) })
  if (!ask.progress) invocations.delete(ask.i)
  say({ n: ask.n, ok: { waited: true } })
}

function forget (client) {
  try {
    if (client.wampy && client.wampy._ws) client.wampy._ws.terminate()
    if (client.connection && client.connection._transport) client.connection._transport.close()
  } catch (e) {
    // What is left over is not what was checked.
  }
}

async function act (ask) {
  if (ask.do === 'connect') {
    const client = new { autobahnjs: Autobahn, wampy: WampyClient }[ask.lib](ask)
    clients.set(ask.c, client)
    return client.connect()
  }
  if (ask.do === 'yield' || ask.do === 'error') return settle(ask)
  const client = clients.get(ask.c)
  if (ask.do === 'forget') {
    clients.delete(ask.c)
    return client && forget(client)
  }
  try {
    const ok = await client[ask.do](ask)
    say({ n: ask.n, ok })
  } catch (e) {
    say({ n: ask.n, no: client.failed(e) })
  }
}

process.on('unhandledRejection', () => {})
process.on('uncaughtException', (e) => say({ ev: 'uncaught', why: String(e && e.stack) }))
const lines = readline.createInterface({ input: process.stdin })
lines.on('line', (line) => act(JSON.parse(line)))
lines.on('close', () => process.exit(0))
