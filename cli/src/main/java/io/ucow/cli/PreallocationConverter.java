package io.ucow.cli;

import io.ucow.store.Preallocation;
import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.TypeConversionException;

/** Reads what {@code --preallocate} takes. */
final class PreallocationConverter implements ITypeConverter<Preallocation> {
    @Override
    public Preallocation convert(String text) {
        return Preallocation.ofLabel(text)
                .orElseThrow(() -> new TypeConversionException(
                        "'" + text + "' is no way to preallocate; there are off, metadata, full"));
    }
}
