package io.ucow.fuse;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.util.Optional;
import org.junit.jupiter.api.Test;

class TransportTest {
    @Test
    void transportsAreFoundByName() {
        assertThat(Transport.all()).extracting(Transport::name).containsExactly("direct", "jnr");
    }

    @Test
    void autoIsTheFirstUsableOne() {
        Optional<Transport> first = Transport.all().stream()
                .filter(t -> t.unusableBecause().isEmpty())
                .findFirst();
        assumeTrue(first.isPresent(), "no transport is usable here");
        assertThat(Transport.named(Transport.AUTO).name())
                .isEqualTo(first.orElseThrow().name());
    }

    @Test
    void anUnknownNameIsAnsweredWithTheKnownOnes() {
        assertThatThrownBy(() -> Transport.named("uring"))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("uring")
                .hasMessageContaining("auto, direct, jnr");
    }
}
