package io.ucow.store.journal;

import static org.assertj.core.api.Assertions.assertThat;

import io.ucow.store.CowDevice;
import io.ucow.store.FaultFile;
import io.ucow.store.Geometry;
import io.ucow.store.HookedFile;
import io.ucow.store.HookedFile.Call;
import io.ucow.store.Origin;
import io.ucow.store.StoreOptions;
import io.ucow.store.TestDevices;
import io.ucow.sys.Errno;
import io.ucow.sys.NativeException;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Random;
import java.util.UUID;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** A store that comes back from power loss on a disk with no room for a single page of the map. */
class AdoptedJournalTest {
    private static final int CHUNK = 4096;
    private static final UcowFormat FORMAT = new UcowFormat();
    private static final UUID THIRD_BOOT = new UUID(0x5555, 0x6666);
    private final Origin origin = TestDevices.origin(new byte[16 * CHUNK]);
    private byte[] image;

    /** Chunks 0 and 1 are flushed, 2 and 3 are not, and chunk 1 was discarded without a flush. */
    @BeforeEach
    void losePower() throws IOException {
        FaultFile fresh = new FaultFile(new byte[0]);
        UcowFormat.create(fresh, new Geometry(16 * CHUNK, 12), null, StoreOptions.NONE, 64, new UUID(7, 9));
        FaultFile file = new FaultFile(fresh.killedAt(fresh.eventCount()));
        CowDevice device = TestDevices.open(FORMAT, file, origin, TestDevices.BOOT);
        write(device, 0, 'a');
        write(device, 1, 'b');
        device.flush();
        write(device, 2, 'c');
        device.discard(CHUNK, CHUNK);
        write(device, 3, 'd');
        // The worst luck: every sector reached the disk, records without a barrier among them.
        image = file.killedAt(file.eventCount());
    }

    @Test
    void opensWithWhatWasFlushed() throws IOException {
        FaultFile file = new FaultFile(image);
        try (CowDevice device = openFull(file, TestDevices.NEXT_BOOT)) {
            assertThat(letters(device)).isEqualTo("ab\0\0\0");
            write(device, 0, 'x');
            device.flush();
            assertThat(letters(device)).isEqualTo("xb\0\0\0");
        }
        try (CowDevice device = TestDevices.open(FORMAT, file, origin, THIRD_BOOT)) {
            assertThat(letters(device)).isEqualTo("xb\0\0\0");
        }
    }

    @Test
    void uncoveredRecordsStayDeadWhenTheSessionIsKilled() throws IOException {
        FaultFile file = new FaultFile(image);
        openFull(file, TestDevices.NEXT_BOOT);
        CowDevice continued = TestDevices.open(FORMAT, file, origin, TestDevices.NEXT_BOOT);
        assertThat(letters(continued)).isEqualTo("ab\0\0\0");
    }

    @Test
    void discardMakesRoomAgain() throws IOException {
        FaultFile file = new FaultFile(image);
        boolean[] full = {true};
        CowDevice device = openFull(file, TestDevices.NEXT_BOOT, full);
        device.discard(0, CHUNK);
        device.flush();
        full[0] = false;
        write(device, 4, 'e');
        device.close();
        try (CowDevice next = TestDevices.open(FORMAT, file, origin, THIRD_BOOT)) {
            assertThat(letters(next)).isEqualTo("\0b\0\0e");
        }
        assertThat(FORMAT.check(file, Path.of("x"), THIRD_BOOT).corruptions()).isEmpty();
    }

    @Test
    void everyCutOfTheAdoptionKeepsWhatWasFlushed() throws IOException {
        FaultFile file = new FaultFile(image);
        boolean[] full = {true};
        CowDevice device = openFull(file, TestDevices.NEXT_BOOT, full);
        int opened = file.eventCount();
        write(device, 0, 'x');
        device.discard(CHUNK, CHUNK);
        device.flush();
        int flushed = file.eventCount();
        full[0] = false;
        write(device, 4, 'e');
        assertThat(opened).isGreaterThan(4);
        for (int cut = 0; cut <= file.eventCount(); cut++) {
            String[] allowed = cut < opened
                    ? new String[] {"ab\0\0\0"}
                    : cut < flushed
                            ? new String[] {"ab\0\0\0", "xb\0\0\0", "x\0\0\0\0", "a\0\0\0\0"}
                            : new String[] {"x\0\0\0\0", "x\0\0\0e"};
            for (int seed = 0; seed < 20; seed++) {
                byte[] left = file.powerLostAt(cut, new Random(seed));
                try (CowDevice next = TestDevices.openReadOnly(FORMAT, new FaultFile(left), origin, THIRD_BOOT)) {
                    assertThat(letters(next)).as("cut %d, seed %d", cut, seed).isIn((Object[]) allowed);
                }
            }
            byte[] killed = file.killedAt(cut);
            try (CowDevice next =
                    TestDevices.openReadOnly(FORMAT, new FaultFile(killed), origin, TestDevices.NEXT_BOOT)) {
                assertThat(letters(next)).as("killed at %d", cut).isIn((Object[]) allowed);
            }
        }
    }

    private CowDevice openFull(FaultFile file, UUID boot) throws IOException {
        return openFull(file, boot, new boolean[] {true});
    }

    private CowDevice openFull(FaultFile file, UUID boot, boolean[] full) throws IOException {
        long size = file.size();
        HookedFile onFullDisk = new HookedFile(file).hook((call, offset, length) -> {
            // Journal and superblocks are preallocated, and so are, here, the first two slots.
            if (full[0] && call == Call.WRITE && offset >= (68 << 10) + 2 * CHUNK) {
                throw new NativeException("pwrite", Errno.ENOSPC);
            }
        });
        CowDevice device = TestDevices.open(FORMAT, onFullDisk, origin, boot);
        assertThat(device.stats().checkpoints()).isZero();
        assertThat(file.size()).isEqualTo(size);
        return device;
    }

    private static void write(CowDevice device, int chunk, int letter) throws IOException {
        byte[] bytes = new byte[CHUNK];
        Arrays.fill(bytes, (byte) letter);
        device.write((long) chunk * CHUNK, TestDevices.direct(bytes, 0, CHUNK));
    }

    private static String letters(CowDevice device) throws IOException {
        StringBuilder letters = new StringBuilder();
        for (int chunk = 0; chunk < 5; chunk++) {
            letters.append((char) TestDevices.read(device, (long) chunk * CHUNK, 1)[0]);
        }
        return letters.toString();
    }
}
