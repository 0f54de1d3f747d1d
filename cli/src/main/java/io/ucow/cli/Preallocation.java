package io.ucow.cli;

import java.util.Arrays;
import java.util.Locale;
import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.TypeConversionException;

/** What {@code --preallocate} takes: two of QEMU's words. */
enum Preallocation {
    /** Space is taken as it is written. */
    OFF,
    /** All space is set aside. */
    FULL;

    /** Reads them for picocli, which takes a plain boolean for a flag. */
    static final class Converter implements ITypeConverter<Preallocation> {
        @Override
        public Preallocation convert(String text) {
            return Arrays.stream(values())
                    .filter(word -> word.name().toLowerCase(Locale.ROOT).equals(text))
                    .findFirst()
                    .orElseThrow(() -> new TypeConversionException(
                            "'" + text + "' is no way to preallocate; there are off, full"));
        }
    }
}
