// A js-libp2p node with gossipsub and direct streams, steered by lines of JSON: orders on stdin, events on stdout.
// Run it where node_modules lies beside it. Its argument: {"seed": hex, "listen": address, "topics": [...]}.
// It knows nothing of our protocol but the framing of direct streams.
if (Promise.withResolvers === undefined) { // Node.js 20
  Promise.withResolvers = () => {
    const made = {}
    made.promise = new Promise((resolve, reject) => Object.assign(made, { resolve, reject }))
    return made
  }
}
const { createInterface } = await import('node:readline')
const { createLibp2p } = await import('libp2p')
const { gossipsub } = await import('@libp2p/gossipsub')
const { identify } = await import('@libp2p/identify')
const { noise } = await import('@libp2p/noise')
const { tcp } = await import('@libp2p/tcp')
const { yamux } = await import('@libp2p/yamux')
const { generateKeyPairFromSeed } = await import('@libp2p/crypto/keys')
const { multiaddr } = await import('@multiformats/multiaddr')

const MOST_ANSWER_BYTES = 1 << 16
const STREAM_MILLISECONDS = 5000
const settings = JSON.parse(process.argv[2])
const say = (event, told = {}) => process.stdout.write(JSON.stringify({ event, ...told }) + '\n')
const node = await createLibp2p({
  privateKey: await generateKeyPairFromSeed('Ed25519', Buffer.from(settings.seed, 'hex')),
  addresses: { listen: [settings.listen] },
  transports: [tcp()],
  connectionEncrypters: [noise()],
  streamMuxers: [yamux()],
  connectionMonitor: { enabled: false },
  services: {
    identify: identify(),
    pubsub: gossipsub({ globalSignaturePolicy: 'StrictSign', heartbeatInterval: 200, allowPublishToZeroTopicPeers: true })
  }
})
const { pubsub } = node.services
for (const topic of settings.topics) pubsub.subscribe(topic)
pubsub.addEventListener('gossipsub:message', ({ detail: { msg, propagationSource } }) => {
  say('heard', { topic: msg.topic, from: msg.from.toString(), by: propagationSource.toString(),
    data: Buffer.from(msg.data).toString('hex') })
})
node.addEventListener('peer:connect', ({ detail }) => say('connected', { peer: detail.toString() }))
node.addEventListener('peer:disconnect', ({ detail }) => say('disconnected', { peer: detail.toString() }))

async function ask (order) {
  const stream = await node.dialProtocol(multiaddr(order.address), order.protocol,
    { signal: AbortSignal.timeout(STREAM_MILLISECONDS) })
  const question = Buffer.from(order.data, 'hex')
  const head = Buffer.alloc(4)
  head.writeUInt32BE(question.length)
  stream.send(Buffer.concat([head, question]))
  let got = Buffer.alloc(0)
  for await (const piece of stream) {
    got = Buffer.concat([got, piece.subarray()])
    const complete = got.length >= 4 && got.length >= 4 + got.readUInt32BE(0)
    if (complete || got.length > MOST_ANSWER_BYTES) break
  }
  await stream.close()
  return { data: got.subarray(4).toString('hex') }
}

const orders = {
  dial: async (order) => {
    await node.dial(multiaddr(order.address), { signal: AbortSignal.timeout(STREAM_MILLISECONDS) })
    return {}
  },
  publish: async (order) => {
    await pubsub.publish(order.topic, Buffer.from(order.data, 'hex'))
    return {}
  },
  mesh: async (order) => ({ mesh: pubsub.getMeshPeers(order.topic),
    protocols: node.getConnections().flatMap(one => one.streams.map(stream => stream.protocol)) }),
  ask
}

say('ready', { peer: node.peerId.toString(), addresses: node.getMultiaddrs().map(String) })
for await (const line of createInterface({ input: process.stdin })) {
  const order = JSON.parse(line)
  orders[order.do](order)
    .then(told => say('done', { number: order.number, ...told }))
    .catch(error => say('done', { number: order.number, error: `${error.name}: ${error.message}` }))
}
await node.stop()
