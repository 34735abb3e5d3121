// One node of js-libp2p with gossipsub as it comes, for benchmarks/gossip.py: joins, says so, waits for the word,
// publishes at an even pace, and tells what it heard. It signs and checks libp2p's own signatures, nothing more.
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

const job = JSON.parse(process.argv[2])
const now = () => Number(process.hrtime.bigint()) / 1e9 // the clock that Python calls monotonic
const sleep = seconds => new Promise(resolve => setTimeout(resolve, Math.max(0, seconds * 1000)))
const node = await createLibp2p({
  privateKey: await generateKeyPairFromSeed('Ed25519', Buffer.from(job.seed, 'hex')),
  addresses: { listen: [job.listen] },
  transports: [tcp()],
  connectionEncrypters: [noise()],
  streamMuxers: [yamux()],
  services: { identify: identify(), pubsub: gossipsub({ globalSignaturePolicy: 'StrictSign' }) }
})
const { pubsub } = node.services
const latencies = []
pubsub.addEventListener('gossipsub:message', ({ detail: { msg } }) => {
  if (!msg.from.equals(node.peerId)) latencies.push(now() - Buffer.from(msg.data).readDoubleBE(0))
})
pubsub.subscribe(job.topic)
for (const address of job.dial) {
  for (let tries = 0; tries < 40; tries++) {
    try {
      await node.dial(multiaddr(address))
      break
    } catch {
      await sleep(0.25) // the other process may not listen yet
    }
  }
}
const wanted = job.nodes - 1
while (pubsub.getSubscribers(job.topic).length < wanted ||
       pubsub.getMeshPeers(job.topic).length < Math.min(wanted, 3)) await sleep(0.05)
process.stdout.write('joined\n')
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]()
const start = Number((await lines.next()).value)
const pause = job.nodes / job.rate
const begun = process.cpuUsage()
for (let index = 0; index < Math.floor(job.seconds * job.rate / job.nodes); index++) {
  await sleep(start + index * pause + job.number * pause / job.nodes - now())
  const data = Buffer.alloc(job.bytes, `${job.number} ${index} `)
  data.writeDoubleBE(now(), 0)
  pubsub.publish(job.topic, data).catch(() => {}) // who did not get it is counted as lost
}
await sleep(start + job.seconds + job.drain - now())
const { user, system } = process.cpuUsage(begun)
process.stdout.write(JSON.stringify({ cpu: (user + system) / 1e6, latencies }) + '\n', () => process.exit(0))
