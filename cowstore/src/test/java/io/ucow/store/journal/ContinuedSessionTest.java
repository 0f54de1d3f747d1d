package io.ucow.store.journal;

import static org.assertj.core.api.Assertions.assertThat;

import io.ucow.store.CowDevice;
import io.ucow.store.FaultFile;
import io.ucow.store.Geometry;
import io.ucow.store.Origin;
import io.ucow.store.StoreOptions;
import io.ucow.store.TestDevices;
import java.io.IOException;
import java.util.Random;
import java.util.UUID;
import org.junit.jupiter.api.Test;

/** A daemon that was killed and came back in the same boot, before any power loss. */
class ContinuedSessionTest {
    private static final int CHUNK = 4096;
    private static final UcowFormat FORMAT = new UcowFormat();
    private final Origin origin = TestDevices.origin(new byte[8 * CHUNK]);

    @Test
    void flushCoversWhatTheKilledDaemonWroteWithoutFlush() throws IOException {
        FaultFile file = killedAfterAWrite();
        CowDevice device = TestDevices.open(FORMAT, file, origin, TestDevices.BOOT);
        device.flush();
        assertThat(afterPowerLoss(file)).isEqualTo((byte) 'a');
    }

    @Test
    void flushCoversItWhenTheDaemonWasKilledTwice() throws IOException {
        FaultFile file = killedAfterAWrite();
        TestDevices.open(FORMAT, file, origin, TestDevices.BOOT);
        CowDevice device = TestDevices.open(FORMAT, file, origin, TestDevices.BOOT);
        device.flush();
        device.flush();
        assertThat(afterPowerLoss(file)).isEqualTo((byte) 'a');
    }

    @Test
    void inPlaceWritesOfTheContinuedSessionAreFoundAfterAFlush() throws IOException {
        FaultFile file = killedAfterAWrite();
        CowDevice device = TestDevices.open(FORMAT, file, origin, TestDevices.BOOT);
        device.write(0, TestDevices.direct(new byte[] {'b'}, 0, 1));
        device.flush();
        assertThat(afterPowerLoss(file)).isEqualTo((byte) 'b');
    }

    @Test
    void discardsOfTheKilledDaemonGiveTheirSpaceBack() throws IOException {
        FaultFile file = killedAfterAWrite();
        CowDevice device = TestDevices.open(FORMAT, file, origin, TestDevices.BOOT);
        device.discard(0, CHUNK);
        device = TestDevices.open(FORMAT, file, origin, TestDevices.BOOT);
        long before = file.size();
        device.flush();
        device.close();
        device = TestDevices.open(FORMAT, file, origin, TestDevices.BOOT);
        device.write(CHUNK, TestDevices.direct(new byte[] {'c'}, 0, 1));
        // One page for the map's only leaf, and the slot that was discarded.
        assertThat(file.size() - before).isLessThanOrEqualTo(CHUNK);
    }

    private FaultFile killedAfterAWrite() throws IOException {
        FaultFile fresh = new FaultFile(new byte[0]);
        UcowFormat.create(fresh, new Geometry(8 * CHUNK, 12), null, StoreOptions.NONE, 64, new UUID(7, 9));
        FaultFile file = new FaultFile(fresh.killedAt(fresh.eventCount()));
        CowDevice killed = TestDevices.open(FORMAT, file, origin, TestDevices.BOOT);
        killed.write(0, TestDevices.direct(new byte[] {'a'}, 0, 1));
        return file;
    }

    /** The device's first byte in the next boot. */
    private byte afterPowerLoss(FaultFile file) throws IOException {
        byte[] left = file.powerLostAt(file.eventCount(), new Random(1));
        try (CowDevice device = TestDevices.openReadOnly(FORMAT, new FaultFile(left), origin, TestDevices.NEXT_BOOT)) {
            return TestDevices.read(device, 0, 1)[0];
        }
    }
}
