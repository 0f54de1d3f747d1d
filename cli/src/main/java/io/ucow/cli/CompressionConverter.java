package io.ucow.cli;

import io.ucow.store.Compression;
import java.util.Arrays;
import java.util.stream.Collectors;
import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.TypeConversionException;

/** What {@code --compress} takes: the name of a codec. */
final class CompressionConverter implements ITypeConverter<Compression> {
    @Override
    public Compression convert(String value) {
        return Compression.ofLabel(value)
                .orElseThrow(() -> new TypeConversionException("'" + value + "' is no codec; there are "
                        + Arrays.stream(Compression.values())
                                .map(Compression::label)
                                .collect(Collectors.joining(", "))));
    }
}
