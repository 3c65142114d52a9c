// Glue: pg-transactional-outbox reads the outbox, kafkajs sends each message, the library marks it processed.
const { Kafka, Partitioners, logLevel } = require('kafkajs');
const outbox = require('pg-transactional-outbox');

const env = process.env;
const replication = env.MODE === 'replication';

const kafka = new Kafka({
  brokers: env.BOOTSTRAP.split(','),
  logLevel: logLevel.ERROR,
  // kafkajs must give up before the library's time-out (15 s), or an old send could still arrive behind a newer one.
  requestTimeout: 3000,
  retry: { retries: 2, maxRetryTime: 1000 },
});
const producer = kafka.producer({ createPartitioner: Partitioners.DefaultPartitioner });

const handler = {
  handle: ({ aggregateId, payload }) =>
    producer.send({ topic: env.TOPIC, acks: -1, messages: [{ key: aggregateId, value: JSON.stringify(payload) }] }),
};

const log = (about, text) => console.error(text ?? about, about?.id ?? about?.message ?? '');
const logger = {
  ...outbox.getDisabledLogger(),
  warn: log,
  error: log,
  fatal: log,
  // The library has no callback for the moment when the replication stream is open, only this line.
  trace: (text) => text === 'Transactional outbox listener started' && console.error('READY'),
};

let shutdown = async () => {};
process.once('SIGTERM', async () => {
  await shutdown();
  await producer.disconnect();
  process.exit(0);
});

// kafkajs gives up after a few attempts, also when the broker is only away for some seconds.
async function connect() {
  for (;;) {
    try {
      return await producer.connect();
    } catch (error) {
      log(error.message);
    }
  }
}

async function main() {
  await connect();
  const database = { connectionString: env.DATABASE_URL, connectionTimeoutMillis: 5000 };
  const [initialize, settings] = replication
    ? [outbox.initializeReplicationMessageListener, outbox.getOutboxReplicationListenerSettings()]
    : [outbox.initializePollingMessageListener, outbox.getOutboxPollingListenerSettings()];

  [shutdown] = initialize(
    { outboxOrInbox: 'outbox', dbListenerConfig: database, settings },
    handler,
    logger,
    // By default a message is abandoned after five failures: a broker that is away for a while would lose events.
    { messageRetryStrategy: () => true },
  );
  // Polling has no session to wait for: it looks at once, and again twice a second.
  if (!replication) console.error('READY');
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
