rootProject.name = "shaodao"
