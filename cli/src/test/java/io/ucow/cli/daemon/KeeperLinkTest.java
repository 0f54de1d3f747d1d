package io.ucow.cli.daemon;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.ucow.fuse.Handover;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.FutureTask;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** A daemon's line to its keeper, against shell scripts in the keeper's place. */
@Timeout(value = 60, unit = TimeUnit.SECONDS)
class KeeperLinkTest {
    private static final Keep KEEP = KeepTest.sample(new Handover(7, List.of(3), 4096));
    /** Takes it, and says which process it is. */
    private static final String TAKE = "read -r keep; ticks=$(cut -d ' ' -f 22 /proc/$$/stat);"
            + " echo \"{\\\"done\\\":{\\\"pid\\\":$$,\\\"startTicks\\\":$ticks}}\";";

    @TempDir
    Path temporary;

    private final CountDownLatch left = new CountDownLatch(1);
    private final CountDownLatch lost = new CountDownLatch(1);
    private Script script;

    private final KeeperLink.Listener listener = new KeeperLink.Listener() {
        @Override
        public void leave() {
            left.countDown();
        }

        @Override
        public void lost() {
            lost.countDown();
        }
    };

    private KeeperLink launch(String body) throws IOException {
        script = Script.inPlace(temporary, body);
        return KeeperLink.launch();
    }

    @AfterEach
    void forget() {
        script.close();
    }

    @Test
    void whatIsKeptIsHandedOver() throws Exception {
        Path told = temporary.resolve("told");
        KeeperLink link =
                launch(TAKE + "printf '%s %s\\n' $1 \"$keep\" >" + told + "; read -r line; echo \"$line\" >>" + told);
        ProcessId keeper = link.keep(KEEP, listener);
        assertThat(keeper.isAlive()).isTrue();
        link.release();
        keeper.awaitEnd();
        List<String> lines = Files.readAllLines(told);
        assertThat(lines.get(0)).startsWith("keeper {");
        assertThat(Keep.fromJson(Replies.parse(lines.get(0).substring("keeper ".length()))))
                .isEqualTo(KEEP);
        assertThat(lines.get(1)).isEqualTo("{\"do\":\"release\"}");
        assertThat(lost.getCount()).as("released, not lost").isOne();
    }

    @Test
    void aKeeperThatDiesIsMissed() throws Exception {
        launch(TAKE).keep(KEEP, listener);
        lost.await();
        assertThat(left.getCount()).isOne();
    }

    @Test
    void oneThatCannotTakeItSaysWhy() throws Exception {
        KeeperLink link = launch("read -r keep; echo '{\"code\":1,\"error\":\"EPERM\"}'; read -r line");
        assertThatThrownBy(() -> link.keep(KEEP, listener)).hasMessage("EPERM");
        link.abandon();
    }

    @Test
    void aReplacementMeansToLeave() throws Exception {
        KeeperLink link = launch(TAKE + "read -r replace; echo '{\"do\":\"leave\"}'; read -r line");
        link.keep(KEEP, listener);
        link.awaitSuccessor();
        left.await();
        link.abandon();
    }

    /** The keeper, which is asked once, answers when both wait. */
    @Test
    void twoWhoAskAtOnceWaitForOneSuccessor() throws Exception {
        Path answer = temporary.resolve("answer");
        KeeperLink link =
                launch(TAKE + "read -r replace; read -r _ <" + answer + "; echo '{\"do\":\"leave\"}'; read -r line");
        new ProcessBuilder("mkfifo", answer.toString()).start().waitFor();
        link.keep(KEEP, listener);
        FutureTask<Void> first = awaitSuccessor(link);
        FutureTask<Void> second = awaitSuccessor(link);
        Files.writeString(answer, "now\n");
        first.get();
        second.get();
        left.await();
        link.abandon();
    }

    private static FutureTask<Void> awaitSuccessor(KeeperLink link) throws InterruptedException {
        FutureTask<Void> task = new FutureTask<>(() -> {
            link.awaitSuccessor();
            return null;
        });
        Thread thread = new Thread(task);
        thread.start();
        while (thread.getState() != Thread.State.WAITING && !task.isDone()) {
            Thread.onSpinWait();
        }
        return task;
    }

    @Test
    void aRefusedReplacementIsAnErrorAndTheNextOneMayPass() throws Exception {
        KeeperLink link = launch(TAKE
                + "read -r replace; echo '{\"code\":1,\"error\":\"no memory\"}';"
                + "read -r replace; echo '{\"do\":\"leave\"}'; read -r line");
        link.keep(KEEP, listener);
        assertThatThrownBy(link::awaitSuccessor).isInstanceOf(IOException.class).hasMessageContaining("no memory");
        assertThat(left.getCount()).isOne();
        link.awaitSuccessor();
        left.await();
        link.abandon();
    }

    @Test
    void aKeeperThatDiesAnswersTheOneWhoWaits() throws Exception {
        KeeperLink link = launch(TAKE + "read -r replace");
        link.keep(KEEP, listener);
        assertThatThrownBy(link::awaitSuccessor).hasMessageContaining("the keeper has died");
        lost.await();
    }

    @Test
    void anAbandonedOneIsGoneAndNotMissed() throws Exception {
        KeeperLink link = launch(TAKE + "read -r line");
        ProcessId keeper = link.keep(KEEP, listener);
        link.abandon();
        assertThat(keeper.isAlive()).isFalse();
        assertThat(lost.getCount()).isOne();
    }
}
