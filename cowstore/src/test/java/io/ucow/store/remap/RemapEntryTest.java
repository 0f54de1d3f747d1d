package io.ucow.store.remap;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class RemapEntryTest {
    private static final Blocks SIXTEEN = Blocks.finest(16);
    private static final long LAST_SLOT = RemapEntry.MAX_SLOTS - 1;

    @Test
    void bitsAreWhereTheFormatHasThem() {
        assertThat(RemapEntry.ORIGIN).isZero();
        assertThat(RemapEntry.ZERO).isEqualTo(0x4000000000000000L);
        assertThat(RemapEntry.slot(0)).isEqualTo(0x8000000000000000L);
        assertThat(RemapEntry.slot(0xa1a2a3a4a5L)).isEqualTo(0x800000a1a2a3a4a5L);
        assertThat(RemapEntry.slot(LAST_SLOT)).isEqualTo(0x800000ffffffffffL);
        assertThat(RemapEntry.slotOf(0x800000a1a2a3a4a5L)).isEqualTo(0xa1a2a3a4a5L);
        assertThat(RemapEntry.isPacked(0xc000000000000001L)).isTrue();
    }

    @Test
    void everyEntryIsOfOneKindAtMost() {
        assertKinds(RemapEntry.ORIGIN, true, false, false);
        assertKinds(RemapEntry.ZERO, false, true, false);
        assertKinds(RemapEntry.slot(0), false, false, true);
        assertKinds(RemapEntry.slot(LAST_SLOT), false, false, true);
    }

    /** Frozen, pinned, zero with a slot, origin with a slot, packed: not for version 1's disks. */
    @ParameterizedTest
    @ValueSource(
            longs = {
                0xa000000000000001L,
                0x8100000000000001L,
                0x4000000000000001L,
                0x6000000000000000L,
                0x0000000000000001L,
                0x2000000000000000L,
                0xc000000000000000L,
                -1L
            })
    void otherPatternsAreNotValid(long entry) {
        assertThat(RemapEntry.isValid(entry, SIXTEEN)).isFalse();
        assertThat(RemapEntry.isOrigin(entry) || RemapEntry.isZero(entry) || RemapEntry.isSlot(entry))
                .isFalse();
    }

    @Test
    void missingBlocksAreBits55To40() {
        long entry = RemapEntry.withMissing(RemapEntry.slot(0xa1a2a3a4a5L), 0x8421);
        assertThat(entry).isEqualTo(0x808421a1a2a3a4a5L);
        assertThat(RemapEntry.missing(entry)).isEqualTo(0x8421);
        assertThat(RemapEntry.slotOf(entry)).isEqualTo(0xa1a2a3a4a5L);
        assertThat(RemapEntry.isSlot(entry)).isTrue();
        assertThat(RemapEntry.isPartial(entry)).isTrue();
        assertThat(RemapEntry.isWhole(entry)).isFalse();
        assertThat(RemapEntry.withMissing(entry, 0)).isEqualTo(RemapEntry.slot(0xa1a2a3a4a5L));
        assertThat(RemapEntry.isSameSlot(entry, RemapEntry.slot(0xa1a2a3a4a5L))).isTrue();
        assertThat(RemapEntry.isSameSlot(entry, RemapEntry.slot(0xa1a2a3a4a4L))).isFalse();
        assertThat(RemapEntry.isSameSlot(RemapEntry.slot(0), RemapEntry.ZERO)).isFalse();
        assertThat(RemapEntry.isSameSlot(RemapEntry.ZERO, RemapEntry.ZERO)).isFalse();
    }

    @Test
    void packedEntriesHaveTheirLengthInBits55To44AndTheirOffsetBelow() {
        long entry = RemapEntry.packed(0xa1a2a3a4a5aL << 9, 0x7bc << 9);
        assertThat(entry).isEqualTo(0xc07bca1a2a3a4a5aL);
        assertThat(RemapEntry.packedOffset(entry)).isEqualTo(0xa1a2a3a4a5aL << 9);
        assertThat(RemapEntry.packedBytes(entry)).isEqualTo(0x7bc << 9);
        assertThat(RemapEntry.isPacked(entry)).isTrue();
        assertThat(RemapEntry.isSlot(entry) || RemapEntry.isZero(entry) || RemapEntry.isOrigin(entry))
                .isFalse();
        assertThat(RemapEntry.isValid(entry, SIXTEEN)).isFalse();
    }

    @ParameterizedTest
    @CsvSource({
        "0xc001000000000001, 15, true",
        "0xc003f00000000001, 15, true",
        "0xc004000000000001, 15, false",
        "0xc000000000000001, 15, false",
        "0xe001000000000001, 15, false",
        "0xc101000000000001, 15, false",
        "0x8001000000000001, 15, false",
        "0xc07ff00000000001, 20, true",
        "0xc080000000000001, 20, false",
        "0xc007ffffffffffff, 16, true"
    })
    void packedChunksTakeSomethingAndLessThanASlot(String entry, int chunkShift, boolean valid) {
        assertThat(RemapEntry.isValidPacked(Long.parseUnsignedLong(entry.substring(2), 16), Blocks.finest(chunkShift)))
                .isEqualTo(valid);
    }

    /** Sixteen blocks in 64 KiB, eight in 32 KiB, one in 4 KiB. */
    @ParameterizedTest
    @CsvSource({
        "16, 0x7fff, true",
        "16, 0x0001, true",
        "16, 0xffff, false",
        "15, 0x007f, true",
        "15, 0x00ff, false",
        "15, 0x0100, false",
        "15, 0x8001, false",
        "13, 1, true",
        "13, 2, true",
        "13, 3, false",
        "12, 1, false",
        "20, 0x8000, true"
    })
    void someButNotAllOfTheBlocksThereAreMayBeMissing(int chunkShift, String missing, boolean valid) {
        long entry = RemapEntry.withMissing(RemapEntry.slot(7), Integer.decode(missing));
        assertThat(RemapEntry.isValid(entry, Blocks.finest(chunkShift))).isEqualTo(valid);
    }

    @Test
    void runsContinueWithinOneKindOnly() {
        long slot = RemapEntry.slot(7);
        assertThat(RemapEntry.continues(slot, RemapEntry.slot(8))).isTrue();
        assertThat(RemapEntry.continues(slot, slot)).isFalse();
        assertThat(RemapEntry.continues(slot, RemapEntry.slot(6))).isFalse();
        assertThat(RemapEntry.continues(slot, RemapEntry.ZERO)).isFalse();
        assertThat(RemapEntry.continues(RemapEntry.ORIGIN, RemapEntry.ORIGIN)).isTrue();
        assertThat(RemapEntry.continues(RemapEntry.ZERO, RemapEntry.ZERO)).isTrue();
        assertThat(RemapEntry.continues(RemapEntry.ZERO, RemapEntry.ORIGIN)).isFalse();
        assertThat(RemapEntry.continues(RemapEntry.ORIGIN, slot)).isFalse();
        long last = RemapEntry.slot(LAST_SLOT);
        assertThat(RemapEntry.continues(last, last + 1)).isFalse();
        long packed = 0xc000000000000001L;
        assertThat(RemapEntry.continues(packed, packed)).isFalse();
        long partial = RemapEntry.withMissing(slot, 1);
        assertThat(RemapEntry.continues(partial, partial)).isFalse();
        assertThat(RemapEntry.continues(partial, RemapEntry.slot(8))).isFalse();
        assertThat(RemapEntry.continues(partial, partial + 1)).isFalse();
        assertThat(RemapEntry.continues(RemapEntry.slot(6), partial)).isFalse();
    }

    @Test
    void everySlotSurvivesTheRoundTrip() {
        new Random(1).longs(10_000, 0, RemapEntry.MAX_SLOTS).forEach(slot -> {
            assertThat(RemapEntry.slotOf(RemapEntry.slot(slot))).isEqualTo(slot);
            assertThat(RemapEntry.isSlot(RemapEntry.slot(slot))).isTrue();
        });
    }

    private static void assertKinds(long entry, boolean origin, boolean zero, boolean slot) {
        assertThat(RemapEntry.isOrigin(entry)).isEqualTo(origin);
        assertThat(RemapEntry.isZero(entry)).isEqualTo(zero);
        assertThat(RemapEntry.isSlot(entry)).isEqualTo(slot);
        assertThat(RemapEntry.isPacked(entry)).isFalse();
        assertThat(RemapEntry.isValid(entry, SIXTEEN)).isTrue();
        assertThat(RemapEntry.isPartial(entry)).isFalse();
        assertThat(RemapEntry.isWhole(entry)).isEqualTo(slot);
    }
}
