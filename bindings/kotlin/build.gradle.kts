// For a build with Gradle; what was run here is Maven (pom.xml). An Android app
// takes the AAR that android.sh makes, or this source with jniLibs.
plugins {
    kotlin("jvm") version "2.2.20"
    `java-library`
}

group = "shaodao"
version = "0.1.0"

repositories { mavenCentral() }

dependencies {
    // On Android: implementation("net.java.dev.jna:jna:5.17.0@aar")
    api("net.java.dev.jna:jna:5.17.0")
    api("org.jetbrains.kotlinx:kotlinx-coroutines-core:1.10.2")
    testImplementation("org.junit.jupiter:junit-jupiter:5.13.4")
    testRuntimeOnly("org.junit.platform:junit-platform-launcher")
}

kotlin {
    jvmToolchain(17)
    sourceSets {
        main { kotlin.srcDirs("src/generated/kotlin", "src/main/kotlin") }
        test { kotlin.srcDirs("src/test/kotlin", "example", "bench") }
    }
}

tasks.test {
    useJUnitPlatform()
    systemProperty("jna.library.path", "$projectDir/../../target/debug")
    systemProperty("shaodao.server", "$projectDir/../../target/debug/shaodao-server")
}
