package io.ucow.cli.daemon;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.grack.nanojson.JsonObject;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;
import java.util.regex.Pattern;
import java.util.stream.LongStream;
import org.assertj.core.api.ThrowableAssert.ThrowingCallable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** Client and server over a real socket. */
@Timeout(value = 60, unit = TimeUnit.SECONDS)
class ControlTest {
    private static final long ITEMS = 10_000;

    @TempDir
    Path temporary;

    private final CountDownLatch entered = new CountDownLatch(1);
    private final CountDownLatch released = new CountDownLatch(1);
    private RunDirectory run;
    private DaemonState daemon;
    private ControlServer server;

    @BeforeEach
    void listen() throws Exception {
        run = RunDirectory.of(Map.of("UCOW_RUN_DIR", temporary.resolve("run").toString()), true);
        run.create();
        daemon = new DaemonState(
                "d", ProcessId.current(), Optional.empty(), Path.of("/mnt/d"), "jnr", false, true, List.of());
        server = new ControlServer(run.socket("d"), this::answer, e -> new RemoteException(e.getMessage(), 42));
    }

    @AfterEach
    void close() throws Exception {
        released.countDown();
        server.close();
    }

    private JsonObject answer(JsonObject request, Consumer<JsonObject> items) throws IOException {
        switch (request.getString("do")) {
            case "echo" -> {
                return request;
            }
            case "count" -> LongStream.range(0, ITEMS).forEach(i -> items.accept(json("n", i)));
            case "forever" -> {
                entered.countDown();
                try {
                    while (true) {
                        items.accept(json("n", 1));
                    }
                } finally {
                    released.countDown();
                }
            }
            case "fail" -> throw new IOException("it broke");
            case "wait" -> {
                entered.countDown();
                try {
                    released.await();
                } catch (InterruptedException e) {
                    throw new IOException(e);
                }
            }
            default -> throw new IllegalArgumentException("unexpected " + request);
        }
        return new JsonObject();
    }

    private static JsonObject json(String name, Object value) {
        JsonObject json = new JsonObject();
        json.put(name, value);
        return json;
    }

    @Test
    void answersSeveralRequestsOnOneConnection() throws Exception {
        try (ControlClient client = ControlClient.connect(run, daemon)) {
            for (String text : List.of("plain", "ä\n\t\"quoted\"", "x".repeat(100_000))) {
                JsonObject request = json("do", "echo");
                request.put("text", text);
                assertThat(client.ask(request)).isEqualTo(request);
            }
        }
    }

    @Test
    void itemsComeInOrder() throws Exception {
        List<Long> numbers = new ArrayList<>();
        try (ControlClient client = ControlClient.connect(run, daemon)) {
            client.ask(json("do", "count"), item -> numbers.add(item.getLong("n")));
        }
        assertThat(numbers)
                .containsExactlyElementsOf(LongStream.range(0, ITEMS).boxed().toList());
    }

    @Test
    void workForACommandThatWentAwayEnds() throws Exception {
        try (ControlClient client = ControlClient.connect(run, daemon)) {
            assertThatThrownBy(() -> client.ask(json("do", "forever"), item -> {
                        throw new IllegalStateException("enough");
                    }))
                    .hasMessage("enough");
        }
        assertThat(released.await(30, TimeUnit.SECONDS)).isTrue();
    }

    @Test
    void failuresArriveWithTheirExitCodeAndTheConnectionGoesOn() throws Exception {
        try (ControlClient client = ControlClient.connect(run, daemon)) {
            assertThatThrownBy(() -> client.ask(json("do", "fail")))
                    .isInstanceOfSatisfying(
                            RemoteException.class, e -> assertThat(e.exitCode()).isEqualTo(42))
                    .hasMessage("it broke");
            assertThatThrownBy(() -> client.ask(json("do", "nonsense"))).isInstanceOf(RemoteException.class);
            assertThat(client.ask(json("do", "echo"))).isNotEmpty();
        }
    }

    @Test
    void socketIsForItsOwnerAlone() throws Exception {
        assertThat(PosixFilePermissions.toString(Files.getPosixFilePermissions(run.socket("d"))))
                .isEqualTo("rw-------");
    }

    @Test
    void aDaemonThatDoesNotListenIsNamed() throws Exception {
        server.close();
        Files.delete(run.socket("d"));

        assertThatThrownBy(() -> ControlClient.connect(run, daemon))
                .isInstanceOf(IOException.class)
                .hasMessageContaining("/mnt/d")
                .hasMessageContaining(Long.toString(daemon.process().pid()));
    }

    @Test
    void aDaemonThatEndsBeforeItAnswersLeavesWordWhatToDo() throws Exception {
        server.close();
        Files.delete(run.socket("d"));
        run.write(daemon);
        Path image = Path.of("/vm.cow");
        ServedFile file = new ServedFile("vm", List.of(image), Optional.empty());
        Daemons.ServedImage served = new Daemons.ServedImage(new Daemons.Found(daemon, file), image);
        Daemons daemons = new Daemons(run);
        try (ServerSocketChannel dying = ServerSocketChannel.open(StandardProtocolFamily.UNIX)) {
            dying.bind(UnixDomainSocketAddress.of(run.socket("d")));
            unanswered(
                    dying, () -> daemons.commit(served, n -> {}), "nothing is lost, run it again: ucow commit /vm.cow");
            unanswered(dying, () -> daemons.info(served), "run it again");
            unanswered(
                    dying,
                    () -> daemons.grow(served, OptionalLong.empty(), 1),
                    "it has the old size or the new one, run it again");
            unanswered(
                    dying,
                    () -> daemons.snapshot(served, Optional.empty()),
                    "see with 'ucow info /vm.cow' whether it is on a new layer already, else run it again");
        }
    }

    private static void unanswered(ServerSocketChannel dying, ThrowingCallable command, String then) throws Exception {
        Thread death = new Thread(() -> {
            try (SocketChannel client = dying.accept()) {
                client.read(ByteBuffer.allocate(1));
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            }
        });
        death.start();
        assertThatThrownBy(command)
                .hasMessageMatching("no answer from the daemon of /mnt/d, process \\d+: .*; " + Pattern.quote(then));
        death.join();
    }

    @Test
    void closingWaitsForTheAnswerUnderWay() throws Exception {
        try (ControlClient client = ControlClient.connect(run, daemon)) {
            Thread closer = new Thread(() -> {
                try {
                    entered.await();
                    released.countDown();
                    server.close();
                } catch (IOException | InterruptedException e) {
                    throw new IllegalStateException(e);
                }
            });
            closer.start();

            assertThat(client.ask(json("do", "wait"))).isEmpty();
            closer.join();
        }
    }
}
