// MQTT.js, driven line by line: one JSON request per line on standard input, one JSON answer or
// event per line on standard output. Any number of clients, each under a name of its own.
//
// Nothing is decided here: a request becomes one call of the library, and what the library says
// becomes one line. Absent on purpose: reconnection (unless asked for), timeouts, expectations.
'use strict'

const fs = require('fs')
const crypto = require('crypto')
const readline = require('readline')
const mqtt = require('mqtt')

const clients = new Map()

const say = (value) => process.stdout.write(JSON.stringify(value) + '\n')
const bytes = (text) => Buffer.from(text || '', 'base64')

// Names of properties as the requests spell them, and as the library does.
const NAMES = {
  payload_format: 'payloadFormatIndicator',
  expiry: 'messageExpiryInterval',
  content_type: 'contentType',
  response_topic: 'responseTopic',
  correlation: 'correlationData',
  user: 'userProperties',
  alias: 'topicAlias',
  delay: 'willDelayInterval',
  sub_ids: 'subscriptionIdentifier',
  session_expiry: 'sessionExpiryInterval',
  receive_max: 'receiveMaximum',
  packet_max: 'maximumPacketSize',
  alias_max: 'topicAliasMaximum',
  assigned_id: 'assignedClientIdentifier',
  server_keepalive: 'serverKeepAlive',
  reason: 'reasonString',
  qos_max: 'maximumQoS',
  retain_ok: 'retainAvailable',
}

function toLibrary (props) {
  if (!props) return undefined
  const out = {}
  for (const [name, value] of Object.entries(props)) {
    if (name === 'correlation') out.correlationData = bytes(value)
    else if (name === 'payload_format') out.payloadFormatIndicator = value === 1
    else if (name === 'user') out.userProperties = grouped(value)
    else out[NAMES[name]] = value
  }
  return out
}

function grouped (pairs) {
  const out = {}
  for (const [key, value] of pairs) {
    if (key in out) out[key] = [].concat(out[key], value)
    else out[key] = value
  }
  return out
}

function fromLibrary (props) {
  const out = {}
  for (const [name, theirs] of Object.entries(NAMES)) {
    const value = (props || {})[theirs]
    if (value === undefined) continue
    if (name === 'correlation') out[name] = Buffer.from(value).toString('base64')
    else if (name === 'payload_format') out[name] = value ? 1 : 0
    else if (name === 'sub_ids') out[name] = [].concat(value)
    else if (name === 'user') {
      out[name] = []
      for (const [key, values] of Object.entries(value)) {
        for (const one of [].concat(values)) out[name].push([key, one])
      }
    } else out[name] = value
  }
  return out
}

// The client's side of SCRAM-SHA-256 (RFC 5802, RFC 7677): what it says first, what it answers, and
// whether the broker knew the password, too.
class Scram {
  constructor (user, password) {
    this.password = password
    this.bare = `n=${user},r=${crypto.randomBytes(18).toString('base64')}`
  }

  first () {
    return Buffer.from('n,,' + this.bare)
  }

  answer (challenge) {
    const text = challenge.toString()
    const [, nonce, salt, rounds] = /^r=([^,]+),s=([^,]+),i=(\d+)/.exec(text)
    const hmac = (key, data) => crypto.createHmac('sha256', key).update(data).digest()
    const salted = crypto.pbkdf2Sync(
      this.password, Buffer.from(salt, 'base64'), Number(rounds), 32, 'sha256')
    const bare = `c=biws,r=${nonce}`
    const all = `${this.bare},${text},${bare}`
    const own = hmac(salted, 'Client Key')
    const signature = hmac(crypto.createHash('sha256').update(own).digest(), all)
    const proof = Buffer.from(own.map((byte, at) => byte ^ signature[at]))
    this.verifier = 'v=' + hmac(hmac(salted, 'Server Key'), all).toString('base64')
    return Buffer.from(`${bare},p=${proof.toString('base64')}`)
  }
}

function withScram (ask, options) {
  const scram = new Scram(ask.scram.user, ask.scram.password)
  const method = ask.scram.method || 'SCRAM-SHA-256'
  options.properties = {
    ...options.properties,
    authenticationMethod: method,
    authenticationData: scram.first(),
  }
  options.manualConnect = true
  return [options, (client) => {
    client.handleAuth = (packet, answer) => answer(null, {
      cmd: 'auth',
      reasonCode: 24,
      properties: {
        authenticationMethod: method,
        authenticationData: scram.answer(packet.properties.authenticationData),
      },
    })
    return (ack) => {
      const data = (ack.properties || {}).authenticationData
      return !!data && data.toString() === scram.verifier
    }
  }]
}

function settings (ask) {
  const tls = ask.transport === 'tls' || ask.transport === 'wss'
  const read = (file) => (file ? fs.readFileSync(file) : undefined)
  const will = ask.will && {
    topic: ask.will.topic,
    payload: bytes(ask.will.payload),
    qos: ask.will.qos,
    retain: ask.will.retain,
    properties: ask.version === 5 ? toLibrary(ask.will.props) : undefined,
  }
  return {
    protocol: { tcp: 'mqtt', tls: 'mqtts', ws: 'ws', wss: 'wss' }[ask.transport],
    host: ask.host,
    port: ask.port,
    path: '/mqtt',
    protocolVersion: ask.version,
    protocolId: ask.version === 3 ? 'MQIsdp' : 'MQTT',
    clientId: ask.id,
    clean: ask.clean,
    keepalive: ask.keepalive,
    username: ask.user,
    password: ask.password,
    connectTimeout: 10000,
    reconnectPeriod: ask.reconnect ? 200 : 0,
    resubscribe: false,
    will,
    properties: ask.version === 5 ? toLibrary(ask.props) : undefined,
    autoAssignTopicAlias: ask.auto_alias,
    ca: tls ? read(ask.ca) : undefined,
    cert: read(ask.cert),
    key: read(ask.key),
    rejectUnauthorized: true,
  }
}

function connect (ask) {
  let options = settings(ask)
  let prepare = () => () => undefined
  if (ask.scram) [options, prepare] = withScram(ask, options)
  const client = mqtt.connect(options)
  const proved = prepare(client)
  if (ask.scram) client.connect()
  const event = (value) => say({ c: ask.c, ...value })
  clients.set(ask.c, client)
  let why = ''
  client.on('connect', (ack) => event({
    ev: 'connected',
    code: ack.reasonCode ?? ack.returnCode ?? 0,
    present: !!ack.sessionPresent,
    props: { ...fromLibrary(ack.properties), proved: proved(ack) },
  }))
  client.on('message', (topic, payload, packet) => event({
    ev: 'message',
    topic,
    payload: payload.toString('base64'),
    qos: packet.qos,
    retain: packet.retain,
    dup: packet.dup,
    props: fromLibrary(packet.properties),
  }))
  client.on('error', (error) => {
    why = String(error.message)
    event({ ev: 'error', why, code: typeof error.code === 'number' ? error.code : null })
  })
  client.on('disconnect', (packet) => event({
    ev: 'disconnect',
    code: packet.reasonCode ?? 0,
    props: fromLibrary(packet.properties),
  }))
  client.on('close', () => event({ ev: 'closed', why }))
}

function subscribe (client, ask, answer) {
  const filters = {}
  for (const [filter, o] of ask.filters) {
    filters[filter] = { qos: o.qos || 0, nl: !!o.nl, rap: !!o.rap, rh: o.rh || 0 }
  }
  const options = ask.sub_id ? { properties: { subscriptionIdentifier: ask.sub_id } } : {}
  client.subscribe(filters, options, (error, granted, packet) => {
    const codes = packet ? packet.granted : (granted || []).map((g) => g.qos)
    if (error && !packet) answer({ no: String(error.message) })
    else answer({ ok: { codes: [...codes] } })
  })
}

function act (ask) {
  const answer = (value) => say({ n: ask.n, c: ask.c, ...value })
  const client = clients.get(ask.c)
  if (ask.do === 'connect') return connect(ask)
  if (!client) return answer({ no: 'no such client' })
  if (ask.do === 'subscribe') return subscribe(client, ask, answer)
  if (ask.do === 'unsubscribe') {
    client.unsubscribe(ask.filters, (error, packet) => {
      if (error) answer({ no: String(error.message) })
      else answer({ ok: { codes: packet && packet.granted ? [...packet.granted] : [] } })
    })
  } else if (ask.do === 'publish') {
    const options = { qos: ask.qos, retain: ask.retain, properties: toLibrary(ask.props) }
    client.publish(ask.topic, bytes(ask.payload), options, (error, packet) => {
      if (error) answer({ ok: { code: error.code ?? -1, why: String(error.message) } })
      else answer({ ok: { code: (packet && packet.reasonCode) || 0 } })
    })
  } else if (ask.do === 'disconnect') {
    const options = { reasonCode: ask.code || 0, properties: toLibrary(ask.props) }
    client.end(false, options, () => answer({ ok: {} }))
  } else if (ask.do === 'drop') {
    client.options.reconnectPeriod = 0
    client.stream.destroy()
    answer({ ok: {} })
  } else if (ask.do === 'forget') {
    client.end(true)
    clients.delete(ask.c)
    answer({ ok: {} })
  }
}

const lines = readline.createInterface({ input: process.stdin })
lines.on('line', (line) => act(JSON.parse(line)))
lines.on('close', () => process.exit(0))
