//! Generates the Kotlin and Swift sources from the metadata of the built
//! library. `bindings/generate.sh` calls it.

fn main() {
    uniffi::uniffi_bindgen_main();
}
