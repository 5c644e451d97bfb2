package tallystick.peer;

import java.io.File;
import java.util.Map;
import java.util.Properties;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.KStream;
import org.apache.kafka.streams.kstream.Produced;
import org.apache.kafka.streams.processor.api.ContextualFixedKeyProcessor;
import org.apache.kafka.streams.processor.api.FixedKeyProcessorContext;
import org.apache.kafka.streams.processor.api.FixedKeyRecord;
import org.apache.kafka.streams.state.KeyValueStore;
import org.apache.kafka.streams.state.StoreBuilder;
import org.apache.kafka.streams.state.Stores;
import tallystick.peer.Messages.History;
import tallystick.peer.Messages.Refusal;
import tallystick.peer.Messages.Request;
import tallystick.peer.Messages.Step;

/**
 * The authorization path in Kafka Streams, exactly_once_v2: the DSL for the flow, fixed-key processors with a store each
 * for what has to be remembered. Settings come from the environment, the tuning under the names of the settings.
 */
public final class Program {
  private static final Map<String, String> ENVIRONMENT = System.getenv();
  private static final String PREFIX = ENVIRONMENT.get("PEER_PREFIX");

  private Program() {}

  /** A processor with one store; {@code null} from {@link #step} forwards nothing. */
  private abstract static class WithStore<I, O, V> extends ContextualFixedKeyProcessor<String, I, O> {
    private final String name;
    protected KeyValueStore<String, V> store;

    WithStore(String name) {
      this.name = name;
    }

    @Override
    public void init(FixedKeyProcessorContext<String, O> context) {
      super.init(context);
      store = context.getStateStore(name);
    }

    @Override
    public void process(FixedKeyRecord<String, I> record) {
      O next = step(record.key(), record.value());
      if (next != null) {
        context().forward(record.withValue(next));
      }
    }

    abstract O step(String key, I value);
  }

  /** Each idempotency key once: a request that was claimed comes out as a refusal. */
  private static final class Claim extends WithStore<Request, Object, Boolean> {
    Claim() {
      super("claims");
    }

    @Override
    Object step(String key, Request request) {
      return store.putIfAbsent(key, true) == null ? request : new Refusal(key, "duplicate");
    }
  }

  /** Velocity, verdict, route. */
  private static final class Decide extends WithStore<Request, Step, History> {
    private final Terms terms;

    Decide(Terms terms) {
      super("histories");
      this.terms = terms;
    }

    @Override
    Step step(String card, Request request) {
      History history = Terms.remember(store.get(card), request);
      store.put(card, history);
      return terms.authorize(history, request);
    }
  }

  /** What the network said, once for each attempt. */
  private static final class Settle extends WithStore<Step, Step, Integer> {
    private final Terms terms;

    Settle(Terms terms) {
      super("answered");
      this.terms = terms;
    }

    @Override
    Step step(String card, Step reply) {
      Integer before = store.get(reply.payment());
      if (reply.attempt() != (before == null ? 1 : before + 1)) {
        return null;
      }
      store.put(reply.payment(), reply.attempt());
      return terms.answer(reply);
    }
  }

  /** What each merchant's customers have on hold, by currency. */
  private static final class Hold extends WithStore<Step, Void, Long> {
    Hold() {
      super("holds");
    }

    @Override
    Void step(String merchant, Step outcome) {
      String name = merchant + "/" + outcome.currency();
      Long before = store.get(name);
      store.put(name, (before == null ? 0 : before) + outcome.approved());
      return null;
    }
  }

  private static <V> StoreBuilder<KeyValueStore<String, V>> store(
      String name, org.apache.kafka.common.serialization.Serde<V> serde) {
    var supplier =
        "memory".equals(ENVIRONMENT.get("PEER_STORES"))
            ? Stores.inMemoryKeyValueStore(name)
            : Stores.persistentKeyValueStore(name);
    return Stores.keyValueStoreBuilder(supplier, Serdes.String(), serde).withCachingEnabled();
  }

  private static void sendOn(KStream<String, Step> steps) {
    var produced = Produced.with(Serdes.String(), Messages.serde(Step.class));
    steps.filter((card, step) -> step.isSubmission()).to(PREFIX + ".submissions", produced);
    steps
        .filter((card, step) -> !step.isSubmission())
        .selectKey((card, step) -> step.merchant())
        .to(PREFIX + ".outcomes", produced);
  }

  private static StreamsBuilder topology(Terms terms) {
    var requests = Messages.serde(Request.class);
    var steps = Messages.serde(Step.class);
    var text = Serdes.String();
    var builder = new StreamsBuilder();
    builder.addStateStore(store("claims", Serdes.Boolean()));
    builder.addStateStore(store("histories", Messages.serde(History.class)));
    builder.addStateStore(store("answered", Serdes.Integer()));
    builder.addStateStore(store("holds", Serdes.Long()));

    KStream<String, Object> claimed =
        builder.stream(PREFIX + ".requests", Consumed.with(text, requests)).processValues(Claim::new, "claims");
    claimed
        .filter((key, value) -> value instanceof Refusal)
        .mapValues(Refusal.class::cast)
        .to(PREFIX + ".refused", Produced.with(text, Messages.serde(Refusal.class)));
    claimed
        .filter((key, value) -> value instanceof Request)
        .mapValues(Request.class::cast)
        .selectKey((key, request) -> request.cardId())
        .to(PREFIX + ".payments", Produced.with(text, requests));
    sendOn(
        builder.stream(PREFIX + ".payments", Consumed.with(text, requests))
            .processValues(() -> new Decide(terms), "histories"));
    sendOn(
        builder.stream(PREFIX + ".replies", Consumed.with(text, steps))
            .processValues(() -> new Settle(terms), "answered"));
    builder.stream(PREFIX + ".outcomes", Consumed.with(text, steps))
        .filter((merchant, outcome) -> outcome.outcome().equals("authorized"))
        .processValues(Hold::new, "holds");
    return builder;
  }

  /** Runs until the process is ended. */
  public static void main(String[] arguments) throws Exception {
    var properties = new Properties();
    properties.put(StreamsConfig.APPLICATION_ID_CONFIG, PREFIX + ".streams");
    properties.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, ENVIRONMENT.get("PEER_BOOTSTRAP"));
    properties.put(StreamsConfig.STATE_DIR_CONFIG, ENVIRONMENT.get("PEER_STATE"));
    properties.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, StreamsConfig.EXACTLY_ONCE_V2);
    properties.put(StreamsConfig.REPLICATION_FACTOR_CONFIG, 1);
    properties.put(StreamsConfig.consumerPrefix("auto.offset.reset"), "earliest");
    properties.putAll(Messages.JSON.readValue(ENVIRONMENT.get("PEER_TUNING"), Map.class));
    var terms = new Terms(new File(ENVIRONMENT.get("PEER_TERMS")));
    var streams = new KafkaStreams(topology(terms).build(), properties);
    streams.setUncaughtExceptionHandler(
        error -> {
          error.printStackTrace();
          return org.apache.kafka.streams.errors.StreamsUncaughtExceptionHandler.StreamThreadExceptionResponse
              .SHUTDOWN_CLIENT;
        });
    // The process ends when it is told to, and when a stream thread has failed: whoever measures has to notice.
    var ended = new java.util.concurrent.CountDownLatch(1);
    streams.setStateListener(
        (now, before) -> {
          if (now == KafkaStreams.State.ERROR || now == KafkaStreams.State.NOT_RUNNING) {
            ended.countDown();
          }
        });
    Runtime.getRuntime().addShutdownHook(new Thread(streams::close));
    streams.start();
    ended.await();
  }
}
