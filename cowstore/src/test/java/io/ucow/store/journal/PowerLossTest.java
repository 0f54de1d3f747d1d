package io.ucow.store.journal;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.fail;

import io.ucow.store.FaultFile;
import io.ucow.store.format.JournalRecord;
import io.ucow.store.format.Superblock;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/**
 * G1, G2 and G3: a recorded run of the store is cut at every call; what power loss or a kill may leave there is opened
 * again and every sector compared with what the guest was promised.
 *
 * <p>{@code -Ducow.powerloss.seed=N} runs one more seed, {@code -Ducow.powerloss.variants=N} tries more outcomes of each
 * cut.
 */
class PowerLossTest {
    @ParameterizedTest(name = "seed {0}, chunk 2^{1}, {2} threads")
    @CsvSource({
        "1, 12, 1",
        "2, 12, 1",
        "3, 12, 1",
        "4, 12, 1",
        "5, 13, 1",
        "6, 13, 1",
        "7, 16, 1",
        "8, 12, 4",
        "9, 12, 4",
        "10, 13, 4",
        "11, 14, 2"
    })
    void everyCutKeepsWhatWasPromised(long seed, int shift, int threads) throws Exception {
        PowerLossScenario run = new PowerLossScenario(seed, shift);
        run.generations(threads);
        System.out.printf("power loss: seed %d, chunk 2^%d, %d threads: %d cuts%n", seed, shift, threads, run.cuts());
        assertThat(run.cuts()).as("cuts").isGreaterThan(200);
    }

    @Test
    void aSeedGivenByHandHoldsToo() throws Exception {
        long seed = Long.getLong("ucow.powerloss.seed", 20261122);
        System.out.printf("power loss: -Ducow.powerloss.seed=%d%n", seed);
        new PowerLossScenario(seed, 12).generations(1);
    }

    @Test
    void checkerCatchesABarrierWithoutDataSync() throws Exception {
        assertCaught((events, i) -> i + 1 < events.size() && isBarrier(events.get(i + 1)));
    }

    @Test
    void checkerCatchesABarrierThatIsNotSynced() throws Exception {
        assertCaught((events, i) -> i > 0 && isBarrier(events.get(i - 1)));
    }

    @Test
    void checkerCatchesACheckpointWithoutDataSync() throws Exception {
        assertCaught((events, i) -> i + 1 < events.size()
                && events.get(i + 1).offset() <= Superblock.SIZE
                && events.get(i + 1).data().length == Superblock.SIZE);
    }

    private interface Planted {
        boolean forgets(List<FaultFile.Event> events, int sync);
    }

    private static void assertCaught(Planted bug) throws Exception {
        for (long seed = 1; seed < 30; seed++) {
            PowerLossScenario run = new PowerLossScenario(seed, 12);
            PowerLossScenario.Session session = run.run(run.newImage(), run.originStamps, 1, true);
            List<FaultFile.Event> events = session.file.events();
            try {
                run.verifyEveryCut(session.with(session.file.forgetting(i -> bug.forgets(events, i))));
            } catch (AssertionError | IOException caught) {
                return;
            }
        }
        fail("the planted bug was not noticed");
    }

    private static boolean isBarrier(FaultFile.Event e) {
        return e.data().length == JournalRecord.SIZE
                && ByteBuffer.wrap(e.data()).order(ByteOrder.LITTLE_ENDIAN).getInt(JournalRecord.TYPE)
                        == JournalRecord.BARRIER;
    }
}
