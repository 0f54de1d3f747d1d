package io.ucow.store.table;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class DeviceNameTest {
    @ParameterizedTest
    @CsvSource({
        "vm1, vm1",
        "a:b.c=d@e_f+g-h, a:b.c=d@e_f+g-h",
        "a b, a\\x20b",
        "#1, \\x231",
        "dé, d\\xc3\\xa9",
        "a\\x20b, a\\x5cx20b"
    })
    void isWrittenAsDmsetupDoes(String name, String mangled) {
        assertThat(DeviceName.encode(name)).isEqualTo(mangled);
        assertThat(DeviceName.decode(mangled)).isEqualTo(name);
    }

    @ParameterizedTest
    @CsvSource({"a\\x2, a\\x2", "a\\q, a\\q", "a\\xzz, a\\xzz", "a\\X20, a\\X20"})
    void otherBackslashesStandForThemselves(String mangled, String name) {
        assertThat(DeviceName.decode(mangled)).isEqualTo(name);
    }
}
