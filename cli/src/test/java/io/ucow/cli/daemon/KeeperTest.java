package io.ucow.cli.daemon;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;

import com.grack.nanojson.JsonWriter;
import io.ucow.fuse.Handover;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.io.OutputStream;
import java.io.PipedInputStream;
import java.io.PipedOutputStream;
import java.io.PrintStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** A keeper in this process: the test speaks for the daemon, a process that does nothing but live; scripts succeed it. */
@Timeout(value = 60, unit = TimeUnit.SECONDS)
class KeeperTest {
    private static final Duration NO_PAUSE = Duration.ZERO;
    /** What a successor says and hears until it serves. */
    private static final String SUCCEED =
            "read -r resume; printf '%s\\n' \"$resume\" >>resumed; echo '{\"item\":{}}'; read -r go; echo '{\"done\":{}}';";

    private static final String RELEASE = "echo '{\"do\":\"release\"}'";

    @TempDir
    Path temporary;

    private Process daemon;
    private PrintStream toKeeper;
    private BufferedReader fromKeeper;
    private CompletableFuture<Integer> keeper;
    private Script script;

    @BeforeEach
    void startDaemon() throws IOException {
        // Descriptor 3 is what it hands over.
        daemon = new ProcessBuilder("sh", "-c", "exec 3</dev/null; echo ready; read -r line").start();
        InputStream out = daemon.getInputStream();
        assertThat(new BufferedReader(new InputStreamReader(out, UTF_8)).readLine())
                .isEqualTo("ready");
    }

    @AfterEach
    void endDaemon() {
        daemon.destroyForcibly();
        if (script != null) {
            script.close();
        }
    }

    /** A keeper whose successors are {@code successor}, in a shell whose directory is the test's. */
    private void start(String successor) throws IOException {
        script = Script.inPlace(temporary, "cd " + temporary + "; echo \"$1\" >>started; " + successor);
        PipedOutputStream requests = new PipedOutputStream();
        PipedInputStream in = new PipedInputStream(requests);
        PipedInputStream answers = new PipedInputStream();
        OutputStream out = new PipedOutputStream(answers);
        toKeeper = new PrintStream(requests, true, UTF_8);
        fromKeeper = new BufferedReader(new InputStreamReader(answers, UTF_8));
        keeper = new CompletableFuture<>();
        Thread thread = new Thread(() -> run(in, out), "keeper");
        thread.setDaemon(true);
        thread.start();
    }

    private void run(InputStream in, OutputStream out) {
        try {
            keeper.complete(Keeper.run(in, new PrintStream(out, true, UTF_8), NO_PAUSE));
        } catch (Throwable e) {
            keeper.completeExceptionally(e);
        }
    }

    private void handOver() throws IOException {
        Keep keep = KeepTest.sample(new Handover(daemon.pid(), List.of(3), 4096));
        toKeeper.println(JsonWriter.string(keep.toJson()));
        assertThat(ProcessId.fromJson(Replies.read(fromKeeper, item -> {}))).isEqualTo(ProcessId.current());
    }

    private void daemonDies() {
        daemon.destroyForcibly();
        toKeeper.close();
    }

    private List<String> lines(String file) throws IOException {
        return Files.exists(temporary.resolve(file)) ? Files.readAllLines(temporary.resolve(file)) : List.of();
    }

    @Test
    void endsWhenItIsGivenNothing() throws Exception {
        start("exit 1");
        toKeeper.close();
        assertThat(keeper.get()).isZero();
        assertThat(lines("started")).isEmpty();
    }

    @Test
    void endsWhenItIsReleased() throws Exception {
        start("exit 1");
        handOver();
        toKeeper.println("{\"do\":\"release\"}");
        assertThat(keeper.get()).isZero();
        assertThat(lines("started")).isEmpty();
    }

    @Test
    void aDaemonThatDiesIsSucceededByOneThatIsGivenDuplicates() throws Exception {
        start(SUCCEED + RELEASE);
        handOver();
        daemonDies();
        assertThat(keeper.get()).isZero();
        assertThat(lines("started")).containsExactly("daemon");
        Keep given = Keep.fromJson(Replies.parse(lines("resumed").get(0)).getObject(Keeper.RESUME));
        assertThat(given.spec()).isEqualTo(KeepTest.sample(given.handover()).spec());
        assertThat(given.handover().pid()).isEqualTo(ProcessHandle.current().pid());
        assertThat(given.handover().maxPayloadBytes()).isEqualTo(4096);
        Path duplicate =
                Path.of("/proc/self/fd/" + given.handover().descriptors().get(0));
        assertThat(Files.readSymbolicLink(duplicate)).isEqualTo(Path.of("/dev/null"));
    }

    @Test
    void successorsThatDieAreSucceededInTurn() throws Exception {
        start(SUCCEED + "[ $(wc -l <started) -lt 3 ] || " + RELEASE);
        handOver();
        daemonDies();
        assertThat(keeper.get()).isZero();
        assertThat(lines("started")).hasSize(3);
    }

    @Test
    void givesUpWhenNobodyCanSucceed() throws Exception {
        start("exit 1");
        handOver();
        daemonDies();
        assertThat(keeper.get()).isEqualTo(1);
        assertThat(lines("started")).hasSizeBetween(Keeper.ATTEMPTS - 1, Keeper.ATTEMPTS);
    }

    /** One that comes up and dies at once, again and again, as when a request kills it. */
    @Test
    void givesUpWhenNobodyServesForLong() throws Exception {
        start(SUCCEED);
        handOver();
        daemonDies();
        assertThat(keeper.get()).isEqualTo(1);
        assertThat(lines("started").size()).isGreaterThanOrEqualTo(Keeper.ATTEMPTS - 1);
    }

    @Test
    void aSuccessorThatCannotServeIsSucceeded() throws Exception {
        start(
                "read -r resume; echo '{\"item\":{}}'; [ $(wc -l <started) = 1 ] && exit 1; read -r go; echo '{\"done\":{}}';"
                        + RELEASE);
        handOver();
        daemonDies();
        assertThat(keeper.get()).isZero();
        assertThat(lines("started")).hasSize(2);
    }

    @Test
    void aReplacementIsReadyBeforeTheDaemonIsToLeave() throws Exception {
        start(SUCCEED + RELEASE);
        handOver();
        toKeeper.println("{\"do\":\"replace\"}");
        assertThat(Replies.parse(fromKeeper.readLine()).getString("do")).isEqualTo(Keeper.LEAVE);
        assertThat(lines("resumed")).hasSize(1);
        assertThat(keeper).isNotDone();
        daemonDies();
        assertThat(keeper.get()).isZero();
        assertThat(lines("started")).hasSize(1);
    }

    @Test
    void withoutAReplacementTheDaemonStays() throws Exception {
        start("exit 1");
        handOver();
        toKeeper.println("{\"do\":\"replace\"}");
        assertThat(Replies.parse(fromKeeper.readLine()).getString("error")).contains("no successor could be started");
        toKeeper.println("{\"do\":\"release\"}");
        assertThat(keeper.get()).isZero();
        assertThat(daemon.isAlive()).isTrue();
    }

    @Test
    void whenTheReplacementFailsAnotherOneSucceeds() throws Exception {
        start(
                "read -r resume; echo '{\"item\":{}}'; read -r go; [ $(wc -l <started) = 1 ] && exit 1; echo '{\"done\":{}}';"
                        + RELEASE);
        handOver();
        toKeeper.println("{\"do\":\"replace\"}");
        assertThat(Replies.parse(fromKeeper.readLine()).getString("do")).isEqualTo(Keeper.LEAVE);
        daemonDies();
        assertThat(keeper.get()).isZero();
        assertThat(lines("started")).hasSize(2);
    }
}
