import com.google.gson.Gson;
import com.google.gson.JsonObject;
import com.google.gson.JsonParseException;
import com.gruelbox.transactionoutbox.Dialect;
import com.gruelbox.transactionoutbox.Instantiator;
import com.gruelbox.transactionoutbox.Persistor;
import com.gruelbox.transactionoutbox.Submitter;
import com.gruelbox.transactionoutbox.ThreadLocalContextTransactionManager;
import com.gruelbox.transactionoutbox.TransactionManager;
import com.gruelbox.transactionoutbox.TransactionOutbox;
import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import com.zaxxer.hikari.HikariDataSource;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.sql.Connection;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.UUID;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.StringSerializer;

/**
 * An order service whose outbox is a library's, gruelbox transaction-outbox: a call of {@link Events} is scheduled in the
 * transaction that changes the order, and made by a thread of this process once that is committed. A call that fails, or
 * whose process dies, is made again later: after younger ones of its order.
 */
public final class Service {
    private static final String RUN = System.getenv("RUN");
    private static final String TOPIC = System.getenv("TOPIC");
    private static final int HOLD_MS_MAX = 10_000;
    private static final int BODY_BYTES_MAX = 1_000_000;
    private static final Duration AGAIN_AFTER = Duration.ofSeconds(1);
    private static final int POLL_MS = 200;
    private static final Gson GSON = new Gson();

    /** By kind of change: the state that it starts from, the state that it leads to, the type of its event. */
    private record Kind(String from, String to, String event) {}

    private static final Map<String, Kind> KINDS = Map.of(
            "placed", new Kind(null, "placed", "OrderPlaced"),
            "paid", new Kind("placed", "paid", "OrderPaid"),
            "shipped", new Kind("paid", "shipped", "OrderShipped"),
            "delivered", new Kind("shipped", "delivered", "OrderDelivered"),
            "amended", new Kind(null, null, "OrderAmended"));

    private static final String TABLES =
            """
            create table if not exists orders (order_id uuid primary key, state text not null, version int not null);
            create table if not exists order_changes (
                order_id uuid not null references orders, version int not null, change_id uuid not null,
                attempt uuid not null, primary key (order_id, version), unique (order_id, change_id));
            """;

    /** What is scheduled. The attempt is for the harness, which asks what is still in the outbox. */
    public interface Events {
        void publish(String orderId, String event, String attempt);
    }

    /** The change is not committed, and never will be. */
    private static final class Rejected extends RuntimeException {
        final int status;

        Rejected(int status, String reason) {
            super(reason);
            this.status = status;
        }
    }

    private record Answer(int status, Object body) {}

    private final ThreadLocalContextTransactionManager transactions;
    private final TransactionOutbox outbox;

    private Service(ThreadLocalContextTransactionManager transactions, TransactionOutbox outbox) {
        this.transactions = transactions;
        this.outbox = outbox;
    }

    public static void main(String[] arguments) throws Exception {
        var database = new HikariDataSource();
        database.setJdbcUrl(System.getenv("JDBC_URL"));
        database.setUsername(System.getenv("DATABASE_USER"));
        database.setPassword(System.getenv("DATABASE_PASSWORD"));
        database.setMaximumPoolSize(24);
        database.setConnectionTimeout(1_000);
        // A link that swallows everything gives no error.
        database.addDataSourceProperty("socketTimeout", "15");
        database.addDataSourceProperty("connectTimeout", "3");
        database.addDataSourceProperty("options", "-c statement_timeout=8s");
        try (Connection connection = database.getConnection(); var statement = connection.createStatement()) {
            statement.execute(TABLES);
        }
        var producer = new KafkaProducer<String, String>(
                Map.of(
                        "bootstrap.servers", System.getenv("BOOTSTRAP"),
                        "acks", "all",
                        // The library calls again: what is given up here must not arrive later than that.
                        "delivery.timeout.ms", 3_000,
                        "request.timeout.ms", 2_000,
                        "max.block.ms", 3_000,
                        "reconnect.backoff.max.ms", 500),
                new StringSerializer(),
                new StringSerializer());
        Events events = (orderId, event, attempt) -> {
            try {
                // The call is done when Kafka has confirmed the record; whatever else happens, it is made again.
                producer.send(new ProducerRecord<>(TOPIC, orderId, event)).get(5, TimeUnit.SECONDS);
            } catch (Exception e) {
                throw new IllegalStateException(e);
            }
        };
        var transactions = TransactionManager.fromDataSource(database);
        ExecutorService callers = Executors.newFixedThreadPool(8);
        var outbox = TransactionOutbox.builder()
                .transactionManager(transactions)
                .persistor(Persistor.forDialect(Dialect.POSTGRESQL_9))
                .instantiator(Instantiator.using(type -> events))
                .submitter(Submitter.withExecutor(callers))
                .attemptFrequency(AGAIN_AFTER)
                // The default is five: an outage would use them up, and its events would be left where they are.
                .blockAfterAttempts(Integer.MAX_VALUE)
                .build();
        var service = new Service(transactions, outbox);
        var server = HttpServer.create(new InetSocketAddress("127.0.0.1", Integer.parseInt(System.getenv("PORT"))), 1024);
        server.setExecutor(Executors.newFixedThreadPool(64));
        server.createContext("/", service::handle);
        server.start();
        var flusher = new Thread(service::flushForEver, "flush");
        flusher.setDaemon(true);
        flusher.start();
        Runtime.getRuntime().addShutdownHook(new Thread(() -> server.stop(2)));
        System.err.println("READY");
    }

    /** Calls that failed, and those that died with their process. */
    private void flushForEver() {
        while (true) {
            try {
                if (!outbox.flush()) {
                    Thread.sleep(POLL_MS);
                }
            } catch (InterruptedException e) {
                return;
            } catch (RuntimeException e) {
                System.err.println("flushing the outbox: " + e);
                try {
                    Thread.sleep(AGAIN_AFTER.toMillis());
                } catch (InterruptedException stop) {
                    return;
                }
            }
        }
    }

    private void handle(HttpExchange exchange) throws IOException {
        Answer answer;
        try {
            answer = answer(exchange);
        } catch (Rejected no) {
            answer = new Answer(no.status, Map.of("outcome", "rejected", "reason", no.getMessage()));
        } catch (Exception e) {
            // It may be committed or not.
            answer = new Answer(503, Map.of("error", String.valueOf(e)));
        }
        byte[] body = GSON.toJson(answer.body()).getBytes(StandardCharsets.UTF_8);
        exchange.getResponseHeaders().set("Content-Type", "application/json");
        exchange.sendResponseHeaders(answer.status(), body.length);
        try (exchange; var out = exchange.getResponseBody()) {
            out.write(body);
        }
    }

    private Answer answer(HttpExchange exchange) throws Exception {
        List<String> path = List.of(exchange.getRequestURI().getPath().substring(1).split("/"));
        String method = exchange.getRequestMethod();
        if (method.equals("GET") && path.equals(List.of("health"))) {
            return new Answer(200, Map.of("status", "ready"));
        }
        if (!method.equals("POST") || !path.get(0).equals("orders")) {
            throw new Rejected(404, "no such resource");
        }
        JsonObject request = body(exchange);
        if (path.size() == 1) {
            if (request.has("to") && !text(request, "to").equals("placed")) {
                throw new Rejected(400, "an order begins by being placed");
            }
            return new Answer(201, change(uuid(text(request, "order_id")), "placed", request));
        }
        if (path.size() == 3 && path.get(2).equals("transitions")) {
            String to = text(request, "to");
            if (!KINDS.containsKey(to) || to.equals("placed")) {
                throw new Rejected(400, "`to` is none of paid, shipped, delivered, amended");
            }
            return new Answer(200, change(uuid(path.get(1)), to, request));
        }
        throw new Rejected(404, "no such resource");
    }

    private static JsonObject body(HttpExchange exchange) throws IOException {
        byte[] bytes = exchange.getRequestBody().readNBytes(BODY_BYTES_MAX + 1);
        if (bytes.length > BODY_BYTES_MAX) {
            throw new Rejected(413, "a body has at most " + BODY_BYTES_MAX + " bytes");
        }
        try {
            JsonObject body = GSON.fromJson(new String(bytes, StandardCharsets.UTF_8), JsonObject.class);
            if (body != null) {
                return body;
            }
        } catch (JsonParseException | ClassCastException e) {
            // The same as none.
        }
        throw new Rejected(400, "the body is no JSON object");
    }

    private static String text(JsonObject request, String key) {
        var value = request.get(key);
        if (value == null || !value.isJsonPrimitive() || !value.getAsJsonPrimitive().isString()) {
            throw new Rejected(400, "`" + key + "` is no text");
        }
        return value.getAsString();
    }

    private static UUID uuid(String text) {
        try {
            UUID id = UUID.fromString(text);
            if (id.toString().equalsIgnoreCase(text)) {
                return id;
            }
        } catch (IllegalArgumentException e) {
            // The same.
        }
        throw new Rejected(400, "`" + text + "` is no UUID");
    }

    /** What the business logic does with a change: roll it back, or wait so long before the commit. */
    private record Directive(boolean veto, int holdMs) {
        static Directive of(JsonObject request) {
            var value = request.get("directive");
            if (value != null && value.isJsonObject()) {
                var hold = value.getAsJsonObject().get("hold_ms");
                int ms = hold != null && hold.isJsonPrimitive() && hold.getAsJsonPrimitive().isNumber() ? hold.getAsInt() : 0;
                if (ms > 0 && ms <= HOLD_MS_MAX) {
                    return new Directive(false, ms);
                }
                throw new Rejected(400, "`hold_ms` is not from 1 to " + HOLD_MS_MAX);
            }
            String word = value == null ? "commit" : text(request, "directive");
            if (!word.equals("commit") && !word.equals("veto")) {
                throw new Rejected(400, "`directive` is neither commit, veto nor {hold_ms: N}");
            }
            return new Directive(word.equals("veto"), 0);
        }
    }

    private Object change(UUID order, String kind, JsonObject request) throws Exception {
        UUID change = uuid(text(request, "change_id"));
        UUID attempt = uuid(text(request, "attempt"));
        String content = text(request, "content");
        Directive directive = Directive.of(request);
        int version = transactions.inTransactionReturnsThrows(transaction -> {
            Connection connection = transaction.connection();
            int written = write(connection, order, kind, change, attempt);
            if (written < 0) {
                return -written;
            }
            var event = new JsonObject();
            event.addProperty("run", RUN);
            event.addProperty("order_id", order.toString());
            event.addProperty("version", written);
            event.addProperty("attempt", attempt.toString());
            event.addProperty("type", KINDS.get(kind).event());
            event.addProperty("content", content);
            outbox.schedule(Events.class)
                    .publish(order.toString(), GSON.toJson(event), attempt.toString());
            if (directive.veto()) {
                throw new Rejected(422, "a business rule forbids this change");
            }
            Thread.sleep(directive.holdMs());
            return written;
        });
        return Map.of("outcome", "committed", "version", version);
    }

    /** Writes the change; its version, or the negative version under which it was made before. */
    private static int write(Connection connection, UUID order, String name, UUID change, UUID attempt) throws SQLException {
        Kind kind = KINDS.get(name);
        int version = 1;
        boolean placed = name.equals("placed")
                && update(connection, "insert into orders values (?, 'placed', 1) on conflict do nothing", order) == 1;
        if (!placed) {
            String state;
            // Locked, or two changes of one order would get the same version.
            try (PreparedStatement locking =
                    prepared(connection, "select state, version from orders where order_id = ? for update", order);
                    ResultSet found = locking.executeQuery()) {
                if (!found.next()) {
                    throw new Rejected(404, "there is no such order");
                }
                state = found.getString(1);
                version = found.getInt(2) + 1;
            }
            try (PreparedStatement asking = prepared(connection,
                    "select version from order_changes where order_id = ? and change_id = ?", order, change);
                    ResultSet before = asking.executeQuery()) {
                if (before.next()) {
                    return -before.getInt(1);
                }
            }
            if (name.equals("placed")) {
                throw new Rejected(409, "the order exists already, placed by another change");
            }
            if (kind.from() != null && !kind.from().equals(state)) {
                throw new Rejected(409, "an order that is " + state + " cannot become " + name);
            }
            update(connection, "update orders set state = ?, version = ? where order_id = ?",
                    kind.to() == null ? state : kind.to(), version, order);
        }
        update(connection, "insert into order_changes (order_id, version, change_id, attempt) values (?, ?, ?, ?)",
                order, version, change, attempt);
        return version;
    }

    private static PreparedStatement prepared(Connection connection, String sql, Object... parameters) throws SQLException {
        PreparedStatement statement = connection.prepareStatement(sql);
        for (int n = 0; n < parameters.length; n++) {
            statement.setObject(n + 1, parameters[n]);
        }
        return statement;
    }

    private static int update(Connection connection, String sql, Object... parameters) throws SQLException {
        try (PreparedStatement statement = prepared(connection, sql, parameters)) {
            return statement.executeUpdate();
        }
    }
}
