// swift-tools-version: 6.0
// On Linux the library is found by pkg-config (Linux/shaodao.pc, written by
// test.sh); on Apple's systems it is the framework that apple.sh builds.
import PackageDescription

#if os(Linux)
let library = Target.systemLibrary(
    name: "ShaodaoFFI", path: "Sources/ShaodaoFFI", pkgConfig: "shaodao")
// libswiftObservation of Swift 6.0 leaves a symbol open.
let forTests: [LinkerSetting] = [.unsafeFlags(["-Xlinker", "--allow-shlib-undefined"])]
#else
let library = Target.binaryTarget(name: "ShaodaoFFI", path: "ShaodaoFFI.xcframework")
let forTests: [LinkerSetting] = []
#endif

let package = Package(
    name: "Shaodao",
    platforms: [.iOS(.v16), .macOS(.v13)],
    products: [.library(name: "Shaodao", targets: ["Shaodao"])],
    targets: [
        library,
        // As it is generated.
        .target(
            name: "ShaodaoGenerated", dependencies: ["ShaodaoFFI"],
            swiftSettings: [.swiftLanguageMode(.v5)]),
        .target(name: "Shaodao", dependencies: ["ShaodaoGenerated"]),
        .executableTarget(
            name: "Report", dependencies: ["Shaodao"], path: "Example", linkerSettings: forTests),
        .executableTarget(
            name: "Bench", dependencies: ["Shaodao"], path: "Bench", linkerSettings: forTests),
        .testTarget(
            name: "ShaodaoTests", dependencies: ["Shaodao"], linkerSettings: forTests),
    ],
    swiftLanguageModes: [.v6]
)
